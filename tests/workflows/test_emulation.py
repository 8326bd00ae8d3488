"""An emulation from request to evidence: what is refused before it begins, what it leaves, what it takes back."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from threatmatrix.emulate.targets import parse_target
from threatmatrix.knowledge import load_library
from threatmatrix.model.errors import (
    FormatError,
    InputError,
    ScopeError,
    ThreatmatrixError,
    UnknownNameError,
    UsageError,
)
from threatmatrix.workflows.emulation import EmulationReport, Request, emulate, emulations, find, prepare
from threatmatrix.workflows.emulation.samples import load_samples
from threatmatrix.workflows.evidence import verify_evidence
from threatmatrix.workflows.home import Home

LIBRARY = load_library()
NOW = time.time_ns() // 1000
DIGITS = parse_target("reference:digits")


class Stages:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def stage(self, text: str) -> None:
        self.seen.append(text)


def request(**changes: object) -> Request:
    values: dict[str, object] = {"procedures": ("square",), "target": DIGITS, "scope_file": None, "samples": 6}
    return Request(**(values | changes))  # type: ignore[arg-type]


def scope(folder: Path, **changes: str) -> Path:
    values = {"hosts": "127.0.0.1", "models": "digits", "techniques": "online-evasion", "max_queries": "100000"}
    values |= changes
    path = folder / "scope.yaml"
    path.write_text(
        f"owner: Ada\nexpires: {values.get('expires', '2999-01-01')}\nhosts: [{values['hosts']}]\n"
        f"models: [{values['models']}]\ntechniques: [{values['techniques']}]\n"
        f"max_queries: {values['max_queries']}\nrps: 1000\n"
    )
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmulationReport, Home, Stages]:
    home, stages = Home(tmp_path_factory.mktemp("home")), Stages()
    prepared = prepare(request(), LIBRARY, NOW)
    return emulate(prepared, home, LIBRARY, progress=stages, now=NOW), home, stages


def test_every_way_is_told_beside_its_control(done: tuple[EmulationReport, Home, Stages]) -> None:
    (report, _, stages) = done
    (each,) = report.procedures
    assert [way.variant for way in each.ways] == ["plain", "random-control"]
    plain, control = each.ways
    assert plain.confirmed.n == control.confirmed.n == 6
    assert control.queries <= plain.queries <= 6 * 200
    assert each.attacked_vs_control is not None
    assert each.attacked_vs_control.first == plain.confirmed
    assert each.baseline.n >= 6
    assert report.queries >= plain.queries + control.queries + plain.confirm_queries
    assert report.cleaned
    assert any("clean" in text for text in stages.seen)


def test_the_evidence_is_a_file_and_a_record(done: tuple[EmulationReport, Home, Stages]) -> None:
    report, home, _ = done
    chain = verify_evidence(home, report.folder / "evidence.jsonl")
    assert chain.intact
    assert chain.records == 1
    (line,) = (report.folder / "evidence.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["technique"] == "online-evasion"
    assert record["seed"] == 1
    assert record["record"]["result"]["ways"][0]["confirmed"]["n"] == 6
    assert {"threatmatrix", "numpy", "python"} <= set(record["record"]["versions"])
    assert (record["detected"], record["responded"], record["remediated"]) == (False, False, False)
    with home.open_store() as store:
        assert [each.evidence_id for each in store.evidence.list()] == [record["evidence_id"]]


def test_the_folder_says_that_nothing_is_open(done: tuple[EmulationReport, Home, Stages]) -> None:
    report, home, _ = done
    (state,) = emulations(home)
    assert (state.name, state.state, state.pending) == (report.name, "clean", 0)
    assert state.about.served
    assert find(home, report.name).folder == report.folder
    with pytest.raises(UnknownNameError, match="Did you mean square-1"):
        find(home, "square")


def test_the_log_is_the_gateways_and_carries_the_correlation(done: tuple[EmulationReport, Home, Stages]) -> None:
    report, _, _ = done
    (log,) = report.logs
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(report.correlation in row["user_agent"] for row in rows) == len(rows) == report.queries


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"procedures": ("sqare",)}, UnknownNameError, "Did you mean square"),
        ({"variants": ("random-control",)}, UsageError, "runs by itself"),
        ({"variants": ("adaptive-sleep",)}, UnknownNameError, "variant"),
        ({"target": parse_target("oip:http://127.0.0.1:1/v2/models/digits")}, UsageError, "needs a scope"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    change: dict[str, object], kind: type[ThreatmatrixError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        prepare(request(**change), LIBRARY, NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hosts": "127.0.0.2"}, "hosts: '127.0.0.1:1' is not in scope"),
        ({"models": "fraud"}, "models: 'digits' is not in scope"),
        ({"techniques": "offline-evasion"}, "techniques: 'online-evasion' is not in scope"),
        ({"max_queries": "10"}, "do not reach"),
        ({"expires": "2020-01-01"}, "expired"),
    ],
)
def test_an_emulation_outside_its_scope_is_refused(tmp_path: Path, change: dict[str, str], said: str) -> None:
    np.savez(tmp_path / "mine.npz", x=np.zeros((3, 64)), y=np.arange(3))
    target = parse_target("oip:http://127.0.0.1:1/v2/models/digits")
    asked = request(target=target, scope_file=scope(tmp_path, **change), samples_file=tmp_path / "mine.npz")
    with pytest.raises(ScopeError, match=said):
        prepare(asked, LIBRARY, NOW)


def test_samples_come_from_arrays_or_lines(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(24).reshape(2, 3, 4), y=np.array([0, 1]))
    assert load_samples(tmp_path / "a.npz").x.shape == (2, 12)
    (tmp_path / "b.jsonl").write_text('{"input": "buy now", "label": 1}\n\n{"input": "hello", "label": 0}\n')
    words = load_samples(tmp_path / "b.jsonl")
    assert list(words.x) == ["buy now", "hello"]
    assert words.y.tolist() == [1, 0]
    (tmp_path / "c.jsonl").write_text('{"input": [0.5, 1], "label": 1}\n{"input": [1, 2], "label": 0}\n')
    assert load_samples(tmp_path / "c.jsonl").x.tolist() == [[0.5, 1.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.npz", None, "cannot be read"),
        ("text.npz", b"hello", "is no .npz"),
        ("empty.jsonl", b"", "holds no samples"),
        ("cut.jsonl", b'{"input": "x", "la', "2|1: is no sample"),
        ("label.jsonl", b'{"input": "x", "label": "spam"}\n', "a whole number"),
        ("negative.jsonl", b'{"input": "x", "label": -1}\n', "negative"),
        ("ragged.jsonl", b'{"input": [1], "label": 1}\n{"input": [1, 2], "label": 1}\n', "differ in length"),
        ("mixed.jsonl", b'{"input": [1], "label": 1}\n{"input": "x", "label": 1}\n', "no numbers"),
        ("nan.jsonl", b'{"input": [NaN], "label": 1}\n', "finite"),
    ],
)
def test_a_file_of_samples_that_is_none_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((InputError, FormatError), match=said):
        load_samples(path)


def test_pickled_samples_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "fired",))

    np.savez(tmp_path / "bomb.npz", x=np.array([Bomb()], dtype=object), y=np.zeros(1, dtype=int))
    with pytest.raises(FormatError):
        load_samples(tmp_path / "bomb.npz")
    assert not (tmp_path / "fired").exists()
