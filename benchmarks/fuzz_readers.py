"""Coverage-guided fuzzing of one reader: ``python -m benchmarks.fuzz_readers --reader nginx --seconds 600``.

Needs atheris (``pip install atheris``; libFuzzer comes with it). Seeds are the records of the tests; every second
mutation changes a value within the JSON, so that a record stays one. A crash, a hang (20 s for one input), more than
1 GiB or a record without exactly one account ends the run with the input in ``--artifacts``. The corpus is kept in
``--corpus`` and taken up again by the next run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

with atheris.instrument_imports(include=["threatmatrix.telemetry"], enable_loader_override=False):
    from tests.telemetry.fuzzing import Accounts
    from tests.telemetry.log_records import EVERY, as_log, options

    from threatmatrix.telemetry.readers import NOTHING_ASKED, SOURCES, Options, get_reader

    for _ in SOURCES.values():  # they are imported when first asked for: now, so that they are instrumented
        pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from threatmatrix.telemetry.readers import Reader

MAX_INPUT = 6 * 1024
TIMEOUT = 20
MEMORY_MB = 1024
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, -(2**70), 0.5, 1e18, 1e300, 10**400),
    *("", "-", " ", "1", "-1", "1e999", "nan", "0x10", "\ud800", "\x00", "\ufffd", "a" * 300, "[1, 2]", "{}", "[", "{"),
    *("2026-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01", "12-13", "1767225600.25", "../../etc"),
    *([], [None], [[1], [2, 3]], [1, "x"], {}, {"": None}, {"data": [1]}, [{"text": 1}], [[[[[[[[1]]]]]]]]),
)


def mutate_json(text: str, chance: random.Random) -> str:
    """The JSON with one value exchanged, removed, doubled or moved."""
    value = json.loads(text)
    holders: list[Any] = []
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict | list) and part:
            holders.append(part)
            stack.extend(part.values() if isinstance(part, dict) else part)
    if holders:
        holder = chance.choice(holders)
        key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        inner = holder[key]
        kind = chance.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(inner, str) and inner[:1] in "{[":
            holder[key] = nested(inner, chance)
        elif kind == 2 and isinstance(inner, str):
            at = chance.randrange(len(inner) + 1)
            holder[key] = inner[:at] + chance.choice(("", " ", ":", "/", "-", "\x00", "é", "9" * 20)) + inner[at + 1 :]
        elif kind == 3:
            holder[key] = chance.choice((inner, [inner], {"x": inner}, str(inner)))
        elif kind == 4:
            other = chance.choice(holders)
            holder[key] = other[chance.choice(list(other) if isinstance(other, dict) else range(len(other)))]
        else:
            holder[key] = chance.choice(VALUES)
    return json.dumps(value)


def nested(text: str, chance: random.Random) -> str:
    """JSON within a text is mutated as JSON, too."""
    try:
        return mutate_json(text, chance)
    except (ValueError, RecursionError):
        return text[:-1]


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A mutation of one line of the input: of its JSON, or of its bytes."""
    chance = random.Random(seed)
    if chance.randrange(2):
        lines = data.split(b"\n")
        at = chance.randrange(len(lines))
        start = lines[at].find(b"{")
        if start >= 0:
            try:
                changed = mutate_json(lines[at][start:].decode("utf-8", "surrogatepass"), chance)
                lines[at] = lines[at][:start] + changed.encode("utf-8", "surrogatepass")
                return b"\n".join(lines)[:max_size]
            except (ValueError, RecursionError, TypeError):
                pass
    return bytes(atheris.Mutate(data, max_size))


def one_input(readers: Sequence[Reader]) -> Callable[[bytes], None]:
    """The test of one input: as lines, and in every other form that the reader takes."""

    def test(data: bytes) -> None:
        for reader in readers:
            accounts = Accounts(reader)
            reader.recognises(data.decode("utf-8", "replace").split("\n", 64)[:64])
            if reader.form == "table":
                accounts.table(b"ts,req,features\n" + data)
                continue
            for line in data.split(b"\n"):
                accounts.line(line)
            if reader.form == "documents":
                accounts.document(data)
            elif reader.form == "http":
                accounts.http(data)

    return test


def readers_of(name: str) -> list[Reader]:
    """The reader with everything asked of it, and with nothing; of ``mapping`` also for CSV."""
    everything = options()
    if name != "mapping":
        return [get_reader(name, everything), get_reader(name, NOTHING_ASKED)]
    from threatmatrix.telemetry.readers.mapping_file import parse_mapping

    csv = "format: csv\ncategory: http\ntime: {field: ts, unit: s}\nfields: {principal: req, output_scores: features}\n"
    return [get_reader(name, everything), get_reader(name, Options(mapping=parse_mapping(csv, "fuzz")))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", required=True, choices=list(SOURCES))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=None)
    parser.add_argument("--artifacts", type=Path, default=Path())
    asked = parser.parse_args()
    corpus = asked.corpus or Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, record in enumerate(EVERY[asked.reader]):
        (corpus / f"seed-{number}").write_bytes(as_log(record))
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={asked.seconds}",
            f"-max_len={MAX_INPUT}",
            f"-timeout={TIMEOUT}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={asked.artifacts}/{asked.reader}-",
            "-print_final_stats=1",
            str(corpus),
        ],
        one_input(readers_of(asked.reader)),
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
