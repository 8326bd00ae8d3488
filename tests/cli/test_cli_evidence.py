"""``threatmatrix evidence``: the record of what was proved, and the check of its chain."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from threatmatrix.cli.app import app
from threatmatrix.model.evidence import Evidence
from threatmatrix.store import open_store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with open_store(tmp_path / "store.db") as store:
        for number in (1, 2):
            store.evidence.append(
                Evidence(
                    evidence_id=f"ev-{number}",
                    created=1_767_600_000_000_000,
                    technique="online-evasion",
                    tactic="model-evasion",
                    system="shop",
                    case=None,
                    run_id=f"run-{number}",
                    seed=number,
                    emulated=True,
                    detected=True,
                    responded=False,
                    remediated=False,
                )
            )
    return tmp_path


def run(home: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--home", str(home), "evidence", *arguments])
    return result.exit_code, result.output


def test_records_are_listed(home: Path) -> None:
    code, said = run(home, "list")
    assert code == 0
    assert said.count("online-evasion") == 2
    assert [each["run_id"] for each in json.loads(run(home, "list", "--format", "json")[1])] == ["run-1", "run-2"]
    assert "No evidence yet" in run(home / "empty", "list")[1]


def test_a_whole_chain_verifies_and_names_its_head(home: Path) -> None:
    code, said = run(home, "verify", "--format", "json")
    report = json.loads(said)
    assert (code, report["intact"], report["records"]) == (0, True, 2)
    assert f"2 records, the chain holds; head {report['head']}" in run(home, "verify")[1]


def test_a_changed_record_is_found(home: Path) -> None:
    with sqlite3.connect(home / "store.db") as connection:
        connection.execute("DROP TRIGGER evidence_no_update")
        connection.execute("UPDATE evidence SET body = replace(body, '\"detected\":true', '\"detected\":false')")
    connection.close()
    code, said = run(home, "verify")
    assert code == 1
    assert "record 1 (ev-1) was changed" in said
