"""An engineer with logs: what can be read, what a log gives, what could be seen, and watching it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, json_of

from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.readers import SOURCES

SYSTEMS = """
systems:
  - name: digit-reader
    owner: sorting
    criticality: high
    traits: [predictive]
    models:
      - {name: digits, endpoints: [/v2/models/digits/infer]}
    telemetry:
      - {source: gateway, path: attack.jsonl}
"""


class TestSources:
    def test_all_are_listed(self, cli: Cli) -> None:
        said = cli("telemetry", "sources")
        assert said.code == 0
        for name in SOURCES:
            assert f"\n{name} " in said.out
        told = json_of(cli("telemetry", "sources", "--format", "json"))
        assert [item["source"] for item in told] == list(SOURCES)

    def test_the_fields_of_an_event_and_of_a_source(self, cli: Cli) -> None:
        every = json_of(cli("telemetry", "fields", "--format", "json"))
        assert [item["field"] for item in every] == list(EVENT_COLUMNS)
        assert "src_ip" in cli("telemetry", "fields").out
        one = json_of(cli("telemetry", "fields", "bedrock", "--format", "json"))
        assert "inference" in one["gives"]
        shown = cli("telemetry", "fields", "bedrock").out
        for field in one["gives"]["inference"]:
            assert field in shown

    def test_a_source_that_does_not_exist(self, cli: Cli) -> None:
        said = cli("telemetry", "fields", "bedrok")
        assert said.code == 2
        assert "bedrock" in said.error


class TestTry:
    def test_what_a_log_gives(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        said = cli("telemetry", "try", logs["attack"])
        assert said.code == 0
        assert "is gateway" in said.out
        assert "input_vec" in said.out
        told = json_of(cli("telemetry", "try", logs["attack"], "--format", "json"))
        lines = len(logs["attack"].read_bytes().splitlines())
        assert (told["source"], told["events"], told["dead_letters"]) == ("gateway", min(lines, 10_000), 0)
        by_name = {item["name"]: item for item in told["fields"] if item["category"] == "inference"}
        assert by_name["principal"]["filled"] == by_name["principal"]["events"]
        assert by_name["session"]["filled"] == 0
        assert list(place.iterdir()) == [], "nothing is kept"

    def test_a_broken_line_is_counted_and_named(self, cli: Cli, logs: dict[str, Path]) -> None:
        good = logs["attack"].read_bytes().splitlines()[0]
        said = cli("telemetry", "try", "-", stdin=good + b"\n{nonsense\n")
        assert said.code == 0
        assert "1 line could not be read" in said.out
        assert "nonsense" not in said.out + said.err

    def test_nothing_readable_is_no_success(self, cli: Cli, place: Path) -> None:
        path = place / "x.jsonl"
        path.write_text('{"v": 1, "time": "soon", "event_id": "a", "category": "inference"}\n')
        assert cli("telemetry", "try", path).code == 2
        path.write_text("hello\n")
        said = cli("telemetry", "try", path)
        assert said.code == 2
        assert "no reader recognises" in said.error

    def test_blind_detectors_say_what_they_need(self, cli: Cli, place: Path) -> None:
        path = place / "access.jsonl"
        path.write_text(
            '{"msec": 1767225600.25, "request_id": "r1", "src_ip": "203.0.113.9", "uri": "/", "status": 200}\n'
        )
        told = json_of(cli("telemetry", "try", path, "--format", "json"))
        assert told["source"] == "nginx"
        assert "Cluster of near-duplicate queries" in {item["title"] for item in told["blind"]}
        assert all(item["missing"] for item in told["blind"])
        assert not any(item["missing"] for item in told["visible"])


class TestAssess:
    @pytest.fixture(autouse=True)
    def described(self, place: Path) -> None:
        (place / "systems.yaml").write_text(SYSTEMS)

    def test_the_table_and_its_forms(self, cli: Cli, place: Path) -> None:
        said = cli("assess")
        assert said.code == 0
        assert "digit-reader" in said.out
        assert "What to switch on next" in said.out
        (told,) = json_of(cli("assess", "digit-reader", "--format", "json"))
        assert told["basis"] == "declared"
        assert len(json_of(cli("assess", "--format", "navigator"))) == 2
        cli("assess", "--format", "html", "--output", place / "a.html")
        assert "digit-reader" in (place / "a.html").read_text()
        assert len(cli("assess", "--all").out.splitlines()) > len(said.out.splitlines())

    def test_a_system_that_does_not_exist(self, cli: Cli) -> None:
        said = cli("assess", "digit-raeder")
        assert said.code == 2
        assert "Did you mean digit-reader?" in said.error

    def test_without_systems(self, cli: Cli, place: Path) -> None:
        (place / "systems.yaml").unlink()
        said = cli("assess")
        assert said.code == 2
        assert "threatmatrix init" in said.error


@pytest.fixture
def log(logs: dict[str, Path], place: Path) -> Path:
    """The start of a log, compressed: honest clients, then the attacker."""
    lines = logs["attack"].read_bytes().splitlines(keepends=True)[:200]
    path = place / "attack.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(lines)))
    return path


class TestIngest:
    def test_logs_reach_the_lake_once(self, cli: Cli, log: Path, place: Path) -> None:
        (place / "systems.yaml").write_text(SYSTEMS)
        first = json_of(cli("ingest", log, "--format", "json"))
        assert first["events"] == 200
        again = json_of(cli("ingest", log, "--format", "json"))
        assert again["events"] == 0
        status = json_of(cli("lake", "status", "--format", "json"))
        assert sum(day["events"] for day in status["days"]) == first["events"]
        (told,) = json_of(cli("assess", "--days", 36_500, "--format", "json"))
        assert told["basis"] == "lake"

    def test_the_lake_is_looked_after(self, cli: Cli, log: Path, place: Path) -> None:
        cli("ingest", log)
        assert cli("lake", "compact").code == 0
        sent = place / "events.jsonl"
        assert cli("lake", "export", "--as", "ocsf", "--to", sent).code == 0
        lines = [json.loads(line) for line in sent.read_text().splitlines()]
        assert lines
        assert {line["metadata"]["version"] for line in lines} == {"1.8.0"}
        assert cli("lake", "erase", "mallory").code == 2, "it asks first"
        assert cli("lake", "erase", "nobody-here", "--yes").code == 0
        assert "mallory" in cli("lake", "export", "--as", "cef").out
        said = cli("lake", "erase", "mallory", "--yes")
        assert said.code == 0
        assert "mallory" not in cli("lake", "export", "--as", "cef").out
        assert cli("lake", "expire", "--days", 1).code == 0
        assert sum(day["events"] for day in json_of(cli("lake", "status", "--format", "json"))["days"]) == 0


class TestWatch:
    def test_what_is_there_is_judged_once(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        shutil.copy(logs["attack"], place / "attack.jsonl")
        (place / "systems.yaml").write_text(SYSTEMS)
        said = cli("watch", "--once", "--interval", 0.1)
        assert said.code == 1, said.err
        assert "Online evasion" in said.out
        assert "judged" in said.err
        events = len(logs["attack"].read_bytes().splitlines())
        assert sum(day["events"] for day in json_of(cli("lake", "status", "--format", "json"))["days"]) == events
        again = cli("watch", "--once", "--interval", 0.1)
        assert again.code == 0, again.err
        assert again.out == ""
        assert json_of(cli("incidents", "--format", "json"))

    def test_a_last_line_without_its_newline_is_judged_and_ends_the_watch(self, cli: Cli, place: Path) -> None:
        path = place / "access.jsonl"
        path.write_text(
            '{"msec": 1767225600.25, "request_id": "r1", "src_ip": "203.0.113.9", "uri": "/", "status": 200}'
        )
        said = cli("watch", path, "--once", "--interval", 0.1)
        assert said.code == 0
        assert "1 event judged" in said.err

    def test_findings_as_lines(self, cli: Cli, logs: dict[str, Path]) -> None:
        said = cli("watch", logs["attack"], "--once", "--interval", 0.1, "--format", "ocsf")
        assert {json.loads(line)["class_uid"] for line in said.out.splitlines()} == {2004}

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--metrics", "9464"], "HOST:PORT"),
            (["--kafka", "novalue"], "KEY=VALUE"),
            (["--source", "ngnix"], "nginx"),
        ],
    )
    def test_wrong_options(self, cli: Cli, logs: dict[str, Path], arguments: list[str], problem: str) -> None:
        said = cli("watch", logs["attack"], "--once", *arguments)
        assert said.code == 2
        assert problem in said.error

    def test_once_says_what_it_could_not_read(self, cli: Cli, place: Path) -> None:
        said = cli("watch", "--once", place / "nowhere.jsonl")
        assert said.code == 2
        assert "no such file" in said.error
        path = place / "kserve.http"
        path.write_text("POST / HTTP/1.1\nCe-Type: org.kubeflow.serving.inference.request\n\n{}\n")
        said = cli("watch", "--once", "--interval", 0.1, path)
        assert said.code == 2
        assert said.err.count("cannot be followed") == 1

    def test_nothing_to_watch(self, cli: Cli) -> None:
        said = cli("watch")
        assert said.code == 2
        assert "systems.yaml" in said.error


class TestKeys:
    def test_a_key_rotates_and_is_never_shown(self, cli: Cli, place: Path) -> None:
        assert "No key yet" in cli("keys", "status").out
        said = [cli("keys", "rotate", "--overlap", 2), cli("keys", "status"), cli("keys", "status", "--format", "json")]
        assert [one.code for one in said] == [0, 0, 0]
        keys = json_of(said[-1])["keys"]
        assert [(key["id"], key["state"]) for key in keys] == [("2", "current"), ("1", "overlapping")]
        secrets = [text for text in (place / ".threatmatrix" / "keys.json").read_text().split('"') if len(text) > 40]
        assert len(secrets) == 2
        for secret in secrets:
            assert not any(secret in one.out + one.err for one in said)
        refused = cli("keys", "rotate")
        assert refused.code == 2
        assert "still overlap" in refused.error
        assert "removed: key 1" in cli("keys", "prune", "--end").err
