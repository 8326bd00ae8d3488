"""Evidence in a file: what is changed, removed or put in between shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from threatmatrix.model.errors import InputError
from threatmatrix.model.evidence import Evidence
from threatmatrix.store.evidence_file import append_evidence, verify_file


def record(number: int) -> Evidence:
    return Evidence(
        evidence_id=f"ev-{number}", created=number, technique="online-evasion", tactic="model-evasion",
        system="fraud", case=None, run_id="r", seed=1, emulated=True, detected=False, responded=False,
        remediated=False, record={"figures": [{"label": "square", "share": 0.25}]},
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.jsonl"
    for number in range(4):
        append_evidence(path, record(number))
    return path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_a_chain_holds_and_has_a_head(file: Path) -> None:
    report = verify_file(file)
    assert report.intact
    assert report.records == 4
    assert report.head == json.loads(lines(file)[-1])["digest"]


@pytest.mark.parametrize("number", range(4))
def test_a_changed_line_shows(file: Path, number: int) -> None:
    kept = lines(file)
    kept[number] = kept[number].replace(b"0.25", b"0.95")
    file.write_bytes(b"".join(kept))
    assert f"line {number + 1} (ev-{number}) was changed" in verify_file(file).problems[0]


@pytest.mark.parametrize("number", range(3))
def test_a_removed_line_shows(file: Path, number: int) -> None:
    kept = lines(file)
    del kept[number]
    file.write_bytes(b"".join(kept))
    assert "does not follow" in verify_file(file).problems[0]


def test_a_line_in_between_shows(file: Path) -> None:
    kept = lines(file)
    file.write_bytes(b"".join([*kept[:2], kept[0], *kept[2:]]))
    assert len(verify_file(file).problems) == 2


def test_a_torn_line_shows_and_nothing_is_appended_to_it(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    assert "line 4 is no record" in verify_file(file).problems[0]
    before = file.read_bytes()
    with pytest.raises(InputError, match="no evidence any more"):
        append_evidence(file, record(9))
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", [b"", b"hello\n", b"{}\n", b"[" * 5000 + b"\n", b"\xff\n"])
def test_whatever_is_no_evidence_is_said_so(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "other.jsonl"
    path.write_bytes(text)
    if not text:
        with pytest.raises(InputError, match="holds no record"):
            verify_file(path)
    else:
        assert verify_file(path).problems == ("line 1 is no record: it is damaged or was cut off",)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        verify_file(tmp_path / "none.jsonl")
