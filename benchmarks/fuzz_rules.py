"""Coverage-guided fuzzing of the rule compiler: ``python -m benchmarks.fuzz_rules --seconds 1800``.

Needs atheris (``pip install atheris``; libFuzzer comes with it). Seeds are the rules of the library and random rules of
every construct; every second mutation changes a value within the YAML, so that a rule stays one. What compiles must
also run: its SQL is given to DuckDB over a table of no rows, and an error of the database counts as a crash. So does
anything but a RuleError, a hang (20 s for one input) and more than 1 GiB. The input is left in ``--artifacts``; the
corpus is kept in ``--corpus`` and taken up again by the next run.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

with atheris.instrument_imports(include=["threatmatrix.detect.sigma"], enable_loader_override=False):
    from threatmatrix.detect.sigma.documents import read_documents
    from threatmatrix.detect.sigma.guard import check_document
    from threatmatrix.detect.sigma.pipelines import NONE, Pipelines, read_pipelines
    from threatmatrix.detect.sigma.translate import event_rule

import duckdb
import yaml

from threatmatrix.detect.sigma.needs import without_unknown
from threatmatrix.detect.sigma.schema import EVENTS
from threatmatrix.detect.sql.conditions import condition
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from threatmatrix.detect.sigma.ir import Node

MAX_INPUT = 4 * 1024
TIMEOUT = 20
MEMORY_MB = 1024
LIBRARY = Path(__file__).parents[1] / "src" / "threatmatrix" / "library"
MODIFIERS = (
    *("contains", "startswith", "endswith", "all", "cased", "re", "i", "m", "s", "cidr", "exists", "neq", "fieldref"),
    *(
        "windash",
        "base64",
        "base64offset",
        "utf16",
        "utf16le",
        "utf16be",
        "wide",
        "expand",
        "gt",
        "lte",
        "hour",
        "week",
    ),
)
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 2**63, 2**70, 0.5, 1e300, float("inf"), float("nan"), "", "*", "?", "\\", "\\*", "**"),
    *("a" * 300, "(" * 50, "a{1000}", "(a{30}){30}", "[", "(?i)x", "\\pL{9}", "10.0.0.0/8", "::/0", "%x%", "-a -b -c"),
    *(
        '"; DROP TABLE events; --',
        "' OR 1=1",
        "é\u0130ß",
        "\ud800",
        [],
        [None],
        {},
        ["a", 1],
        [[1]],
        "1 of them",
        "not s",
    ),
)


def mutate_rule(text: str, chance: random.Random) -> str:
    """The YAML with one value exchanged, removed, or moved, or with one modifier more."""
    if "&" in text:  # an anchor may stand for what it is part of
        return text[: chance.randrange(len(text))]
    rule = yaml.safe_load(text)
    holders: list[Any] = []
    stack = [rule]
    while stack:
        part = stack.pop()
        if isinstance(part, dict | list) and part:
            holders.append(part)
            stack.extend(part.values() if isinstance(part, dict) else part)
    if not holders:
        return text
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = chance.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}|{chance.choice(MODIFIERS)}"] = holder.pop(key)
    elif kind == 2:
        other = chance.choice(holders)
        held = other[chance.choice(list(other) if isinstance(other, dict) else range(len(other)))]
        holder[key] = copy.deepcopy(held)
    else:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    return yaml.safe_dump(rule, sort_keys=False, allow_unicode=True)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A mutation of the rule, or of its bytes."""
    chance = random.Random(seed)
    if chance.randrange(2):
        try:
            return mutate_rule(data.decode(), chance).encode()[:max_size]
        except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError, AttributeError):
            pass
    return bytes(atheris.Mutate(data, max_size))


def run(node: Node, connection: duckdb.DuckDBPyConnection) -> None:
    """The condition as SQL, over a table of no rows: it must parse, bind and execute."""
    sql = condition(without_unknown(node, EVENTS.fields)).sql("duckdb")
    if connection.execute(f"SELECT count(*) FROM events WHERE {sql}").fetchone() != (0,):
        raise AssertionError("a table without rows has matches")


def events_table() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in EVENTS.fields.items())
    connection.execute(f"CREATE TABLE events ({columns})")
    return connection


def one_input(data: bytes, connection: duckdb.DuckDBPyConnection, pipelines: Sequence[Pipelines]) -> None:
    source = RuleSource("fuzz.yml", data.decode("utf-8", "surrogateescape"), "t")
    try:
        documents, _ = read_documents(source)
    except RuleError:
        return
    for document in documents:
        for pipeline in pipelines:
            try:
                check_document(document)
                node = event_rule(document, EVENTS, pipeline).condition
            except RuleError:
                continue
            run(node, connection)
    try:
        read_pipelines([source])
    except RuleError:
        return


def shipped_pipelines() -> Pipelines:
    files = sorted((LIBRARY / "pipelines").glob("*.yml"))
    return read_pipelines([RuleSource(file.name, file.read_text(encoding="utf-8"), "") for file in files])


def seeds() -> list[bytes]:
    """The library's rules and pipelines, and a fixed choice of random rules."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from tests.detect.sigma.rule_strategies import rules

    found = [
        file.read_bytes() for file in sorted(LIBRARY.glob("**/rules/*.yml")) + sorted(LIBRARY.glob("pipelines/*.yml"))
    ]

    @seeded(1)
    @settings(max_examples=200, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(rules(EVENTS))
    def collect(rule: dict[str, Any]) -> None:
        found.append(yaml.safe_dump(rule, sort_keys=False, allow_unicode=True).encode())

    collect()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--corpus", type=Path, default=None)
    parser.add_argument("--artifacts", type=Path, default=Path())
    asked = parser.parse_args()
    corpus = asked.corpus or Path(tempfile.mkdtemp(prefix="fuzz-rules-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, rule in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(rule[:MAX_INPUT])
    connection, pipelines = events_table(), [NONE, shipped_pipelines()]
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={asked.seconds}",
            f"-max_len={MAX_INPUT}",
            f"-timeout={TIMEOUT}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={asked.artifacts}/rule-",
            "-print_final_stats=1",
            str(corpus),
        ],
        lambda data: one_input(data, connection, pipelines),
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
