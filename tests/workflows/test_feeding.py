"""The logs that systems.yaml names: each is read as its own system says, by ingest and by watch alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.records_serving import cloud_event
from tests.workflows.watch_child import small

from threatmatrix.knowledge import load_library
from threatmatrix.knowledge.systems import load_systems
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.system import System
from threatmatrix.workflows.feeding import Log, declared_logs, reader_options
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.ingest import ingest
from threatmatrix.workflows.watch import WatchConfig, run

MAPPING = "category: inference\ntime: {field: ts, unit: s}\nid: case\nfields: {principal: who, model: asked}\n"


def request(number: int, **headers: list[str]) -> str:
    """Two rows in one request."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return json.dumps(cloud_event(id=f"r-{number}", metadata=json.dumps(named)))


@pytest.fixture
def systems(tmp_path: Path) -> Sequence[System]:
    """Two proxies name the caller in two headers; a third system has a format of its own."""
    (tmp_path / "mail.jsonl").write_text(request(1, X_User=["ana"], X_Consumer=["forged"]) + "\n", encoding="utf-8")
    (tmp_path / "shop.jsonl").write_text(request(2, X_Consumer=["li"], X_User=["forged"]) + "\n", encoding="utf-8")
    (tmp_path / "desk.jsonl").write_text('{"ts": 5, "case": "c-1", "who": "mo", "asked": "m"}\n', encoding="utf-8")
    (tmp_path / "desk.yaml").write_text(MAPPING, encoding="utf-8")

    def system(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "owner": "a@b.example", "criticality": "low", "models": [{"name": name}], **more}

    described = [
        system(
            "mail",
            telemetry=[{"source": "kserve", "path": str(tmp_path / "mail.jsonl")}],
            principal={"header": "x-user"},
        ),
        system(
            "shop",
            telemetry=[{"source": "kserve", "path": str(tmp_path / "shop.jsonl")}],
            principal={"header": "x-consumer"},
        ),
        system(
            "desk",
            telemetry=[
                {"source": "mapping", "path": str(tmp_path / "desk.jsonl"), "mapping": str(tmp_path / "desk.yaml")}
            ],
        ),
    ]
    path = tmp_path / "systems.yaml"
    path.write_text(json.dumps({"systems": described}), encoding="utf-8")
    return load_systems(path)


def principals(home: Home) -> set[tuple[str, str]]:
    with closing(home.open_lake()) as lake, closing(lake.connect()) as connection:
        rows = connection.execute("SELECT source, principal FROM events").fetchall()
    return set(rows)


EXPECTED = {("kserve", "ana"), ("kserve", "li"), ("mapping", "mo")}


def test_ingest_reads_each_log_as_its_system_says(tmp_path: Path, systems: Sequence[System]) -> None:
    home = Home(tmp_path / "home").ensure()
    with closing(home.open_lake()) as lake:
        report = ingest(declared_logs(home, systems), lake=lake, home=home.root, systems=systems, workers=1)
    assert report.events == 5
    assert principals(home) == EXPECTED


def test_watch_reads_each_log_as_its_system_says(tmp_path: Path, systems: Sequence[System]) -> None:
    home = Home(tmp_path / "home").ensure()
    logs = declared_logs(home, systems)
    made = WatchConfig(
        name="w", sources=logs, home=home, library=small(load_library()), systems=systems, once=True, grace_seconds=0.0
    )
    assert run(made, on_event=lambda _: None).events == 5
    assert principals(home) == EXPECTED


def test_what_is_given_holds_for_all(tmp_path: Path, systems: Sequence[System]) -> None:
    logs = declared_logs(Home(tmp_path / "home"), systems, source="nginx")
    assert [log.source for log in logs] == ["nginx"] * 3


def test_files_that_are_named_belong_to_nobody(tmp_path: Path, systems: Sequence[System]) -> None:
    with pytest.raises(UsageError, match="several headers: x-consumer, x-user"):
        reader_options(Home(tmp_path / "home"), systems)
    assert reader_options(Home(tmp_path / "home"), systems[:1]).principal_header == "x-user"


def test_a_system_without_logs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no log is named"):
        declared_logs(Home(tmp_path / "home"), ())


def test_an_unknown_source_of_one_log_is_refused_before_anything_is_read(
    tmp_path: Path, systems: Sequence[System]
) -> None:
    home = Home(tmp_path / "home").ensure()
    logs = [*declared_logs(home, systems), Log(str(tmp_path / "mail.jsonl"), "ngnix")]
    with closing(home.open_lake()) as lake, pytest.raises(UnknownNameError, match="nginx"):
        ingest(logs, lake=lake, home=home.root)
