"""An ML engineer's first hour: init, calibrate on a gateway log, detect an attack, respond, undo."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, json_of

from threatmatrix.gateway.policy import load_snapshot
from threatmatrix.knowledge import load_scope, load_systems
from threatmatrix.model.errors import FormatError

CLUSTERS = "monitor:near-duplicate-clusters"
CLUSTER = "Cluster of near-duplicate queries"


class TestInit:
    def test_both_files_are_valid_but_nobody_has_signed(self, cli: Cli, place: Path) -> None:
        said = cli("init", "here")
        assert (said.code, said.out) == (0, "wrote here/systems.yaml\nwrote here/scope.yaml\n")
        [system] = load_systems(place / "here/systems.yaml")
        assert system.models
        with pytest.raises(FormatError, match="owner"):
            load_scope(place / "here/scope.yaml", 0)

    def test_a_signed_scope_is_a_permission(self, cli: Cli, place: Path) -> None:
        cli("init")
        text = (place / "scope.yaml").read_text()
        (place / "scope.yaml").write_text(
            text.replace('owner: ""', "owner: ann").replace('expires: ""', "expires: 2101-01-01")
        )
        assert load_scope(place / "scope.yaml", 0).owner == "ann"
        assert cli("replay", "microsoft-edge-ai", "--dry-run", "--scope", "scope.yaml").code == 0

    def test_what_is_there_is_kept_unless_forced(self, cli: Cli, place: Path) -> None:
        (place / "scope.yaml").write_text("mine")
        said = cli("init")
        assert said.code == 2
        assert "scope.yaml: is there already. Overwrite it with --force" in said.error
        assert not (place / "systems.yaml").exists()
        assert cli("init", "--force").code == 0
        assert (place / "scope.yaml").read_text().startswith("# scope.yaml")

    def test_a_folder_that_cannot_be_made(self, cli: Cli, place: Path) -> None:
        (place / "file").write_text("")
        said = cli("init", "file/below")
        assert said.code == 2
        assert "file/below" in said.error


class TestCalibrate:
    def test_it_says_from_how_many_inputs(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        said = cli("calibrate", "--reference", logs["reference"])
        assert said.code == 0
        assert "digits" in said.out
        assert "300" in said.out
        assert f"wrote {Path('.threatmatrix/calibration.json')}" in said.err
        [learnt] = json.loads((place / ".threatmatrix/calibration.json").read_text())
        assert (learnt["model"], learnt["inputs"], learnt["distinct"]) == ("digits", 300, 300)
        assert learnt["threshold"] > 0

    def test_json_output_and_model(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        arguments = ("calibrate", "--reference", logs["reference"], "--output", "deep/learnt.json", "--format", "json")
        said = cli(*arguments, "--model", "digits")
        [learnt] = json_of(said)
        assert "300 distinct inputs (300 read)" in learnt.pop("note")
        assert json.loads((place / "deep/learnt.json").read_text()) == [learnt]
        assert not (place / ".threatmatrix").exists()
        assert cli(*arguments).code == 0  # again: replaced, not doubled
        assert len(json.loads((place / "deep/learnt.json").read_text())) == 1

    def test_too_little_or_unfit_traffic(self, cli: Cli, logs: dict[str, Path], place: Path, sample: dict) -> None:
        (place / "few.jsonl").write_text("".join(logs["reference"].read_text().splitlines(keepends=True)[:20]))
        few = cli("calibrate", "--reference", "few.jsonl")
        assert few.code == 2
        assert "digits" in few.error
        assert "20; 50 are needed" in few.error
        blind = cli("calibrate", "--reference", sample["benign"])
        assert blind.code == 2
        assert "no visibility" in blind.error
        other = cli("calibrate", "--reference", logs["reference"], "--model", "voices")
        assert other.code == 2
        assert "'voices'" in other.error
        assert "digits" in other.error
        assert not (place / ".threatmatrix/calibration.json").exists()

    def test_a_place_that_cannot_be_written(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        (place / "file").write_text("")
        said = cli("calibrate", "--reference", logs["reference"], "--output", "file/learnt.json")
        assert said.code == 2
        assert "file/learnt.json: cannot be written" in said.error


class TestTheLoop:
    def test_an_attack_is_invisible_before_calibration_and_found_after(self, cli: Cli, logs: dict[str, Path]) -> None:
        before = cli("detect", logs["attack"], "--format", "json")
        assert CLUSTERS not in {each["detector"] for each in json_of(before)["findings"]}
        [blind] = [each for each in json_of(before)["no_visibility"] if each["detector"] == CLUSTERS]
        assert blind["needs"] == ["calibration"]
        assert "run: threatmatrix calibrate --reference FILE" in before.err
        cli("calibrate", "--reference", logs["reference"])
        after = cli("detect", logs["attack"], "--format", "json", "--fail-on", "high")
        assert after.code == 1
        assert CLUSTERS not in {each["detector"] for each in json_of(after)["no_visibility"]}
        found = [each for each in json_of(after)["findings"] if each["detector"] == CLUSTERS]
        assert found
        assert {each["principals"][0]["principal"] for each in found} == {"mallory"}
        assert found[0]["details"]["calibrated_on"] == 300
        honest = cli("detect", logs["reference"])
        assert honest.code == 0
        assert "that is not clean: no visibility for" in honest.out  # nobody asked for any: that rule saw nothing
        assert CLUSTER not in honest.out

    def test_systems_give_the_principal_a_readable_name(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        cli("init")
        text = (place / "systems.yaml").read_text().replace("names: {}", "names: {mallory: Partner A}")
        text = text.replace("digits-product", "digit-reader")
        (place / "systems.yaml").write_text(text)
        assert "Partner A (mallory)" in " ".join(cli("detect", logs["attack"]).out.split())
        said = cli("detect", logs["attack"], "--format", "json")  # the identity stays: a gateway knows no other
        assert "mallory" in {p["principal"] for each in json_of(said)["findings"] for p in each["principals"]}

    def test_from_a_log_to_a_policy_and_back(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        cli("calibrate", "--reference", logs["reference"])
        assert cli("detect", logs["attack"], "--save").code == 1
        [incident] = json_of(cli("incidents", "--format", "json"))
        who = incident["incident_id"]
        assert [step["technique"] for step in incident["chain"]] == ["ml-model-discovery", "online-evasion"]
        listed = " ".join(cli("incidents").out.split())
        assert who in listed
        assert "ML model discovery → online evasion" in incident["title"]

        untouched = cli("incidents", "show", who).out
        assert "mallory" in untouched
        assert f"Nothing was done about it yet: `threatmatrix respond run {who}`" in untouched

        done = cli("respond", "run", who)
        assert done.code == 0
        snapshot = load_snapshot(place / ".threatmatrix/policy.json")
        assert snapshot is not None
        assert {(entry.kind, entry.principal) for entry in snapshot.entries} == {
            ("block", "mallory"), ("query_budget", None), ("input_noise", None)
        }  # fmt: skip
        ids = {entry.entry_id for entry in snapshot.entries}
        assert all(entry_id in done.out for entry_id in ids)
        assert json_of(cli("incidents", "--format", "json"))[0]["status"] == "contained"
        assert "nothing new to do" in cli("respond", "run", who).err
        assert json_of(cli("respond", "resume", "--format", "json")) == {"runs": [], "actions": []}
        for told in (cli("respond", "status"), cli("incidents", "show", who)):
            rows = [line for line in told.out.splitlines() if " done " in line and "pol-" in line]
            assert len(rows) == 3, "one line an action"
            assert all(len(line.rstrip()) <= 120 for line in rows)

        undone = json_of(cli("respond", "undo", who, "--by", "ann", "--format", "json"))
        assert [action["state"] for action in undone] == ["undone"] * 3
        assert all("by ann" in action["outcome"] for action in undone)
        after = load_snapshot(place / ".threatmatrix/policy.json")
        assert after is not None
        assert after.entries == ()
        assert after.version > snapshot.version
        assert json_of(cli("incidents", "--format", "json"))[0]["status"] == "open"

    def test_an_incident_that_grew_is_one_table(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        cli("detect", logs["attack"], "--save")
        [incident] = json_of(cli("incidents", "--format", "json"))
        cli("respond", "run", incident["incident_id"])
        lines = logs["attack"].read_text().splitlines()
        grown = [json.loads(line) | {"principal": "trudy"} for line in lines if '"mallory"' in line]
        (place / "more.jsonl").write_text("".join(json.dumps(each) + "\n" for each in grown))  # the same events' ids
        cli("detect", "more.jsonl", "--save")
        runs = [cli("respond", "run", each["incident_id"]) for each in json_of(cli("incidents", "--format", "json"))]
        assert all(said.code == 0 for said in runs)
        status = json_of(cli("respond", "status", "--format", "json"))
        assert len({run["incident_id"] for run in status["runs"]}) == 1
        assert len(status["runs"]) == 2
        told = cli("respond", "status").out
        assert f"{incident['incident_id']}  2 runs: 2 done" in told
        rows = [line.split() for line in told.splitlines() if " block-principal " in line]
        assert [(row[0], row[3]) for row in rows] == [("r1", "mallory"), ("r2", "trudy")]

    def test_a_doubtful_action_shows_its_key_whole_and_waits(
        self, cli: Cli, logs: dict[str, Path], place: Path
    ) -> None:
        cli("detect", logs["attack"], "--save")
        [incident] = json_of(cli("incidents", "--format", "json"))
        who = incident["incident_id"]
        cli("respond", "run", who)
        with sqlite3.connect(place / ".threatmatrix/store.db") as database:  # as a crash may leave it
            database.execute("UPDATE actions SET state = 'unknown' WHERE action = 'set-input-noise'")
            database.execute("UPDATE runs SET state = 'waiting'")
        database.close()
        status = cli("respond", "status")
        assert "1 doubtful action" in status.err
        [command] = [line.strip() for line in status.out.splitlines() if "respond decide" in line]
        key = command.split()[3]
        assert key in {
            each["idempotency_key"] for each in json_of(cli("respond", "status", "--format", "json"))["actions"]
        }
        rows = [line.split() for line in status.out.splitlines() if " set-" in line or " block-" in line]
        assert rows[0][1] == "set-input-noise", "what waits comes first"
        decided = cli("respond", "decide", key, "--happened", "--by", "ann")
        assert decided.code == 0
        assert "ann says that it happened" in " ".join(decided.out.split())
        again = cli("respond", "decide", key, "--happened", "--by", "ann")
        assert again.code == 2
        assert "nothing to decide" in again.error

    def test_a_chain_without_a_playbook_is_left_to_a_person(self, cli: Cli, logs: dict[str, Path], place: Path) -> None:
        lines = [line for line in logs["attack"].read_text().splitlines() if '"metadata"' in line]
        assert lines
        (place / "recon.jsonl").write_text("\n".join(lines) + "\n")
        assert cli("detect", "recon.jsonl", "--save").code == 1
        [incident] = json_of(cli("incidents", "--format", "json"))
        said = cli("respond", "run", incident["incident_id"])
        assert said.code == 0
        assert "no technique in the chain" in said.err
        assert not (place / ".threatmatrix/policy.json").exists()

    @pytest.mark.parametrize(
        "command",
        [("incidents", "show", "inc-0"), ("respond", "run", "inc-0"), ("respond", "undo", "inc-0", "--by", "ann")],
    )
    def test_an_incident_that_does_not_exist(self, cli: Cli, command: tuple[str, ...]) -> None:
        said = cli(*command)
        assert (said.code, said.out) == (2, "")
        assert "no incident is called 'inc-0'" in said.error

    def test_variables_of_a_playbook(self, cli: Cli, logs: dict[str, Path]) -> None:
        cli("detect", logs["attack"], "--save")
        [incident] = json_of(cli("incidents", "--format", "json"))
        for value, problem in (("nothing", "not NAME=VALUE"), ("__gone__=1", "__gone__")):
            said = cli("respond", "run", incident["incident_id"], "--set", value)
            assert said.code == 2
            assert problem in said.error
        assert json_of(cli("respond", "status", "--format", "json"))["runs"] == []

    def test_no_incidents_says_where_it_looked(self, cli: Cli) -> None:
        said = cli("--home", "elsewhere", "incidents")
        assert said.code == 0
        assert "elsewhere/store.db" in said.out
        assert json_of(cli("--home", "elsewhere", "incidents", "--format", "json")) == []
