"""``rules``: what is listed, shown, tested and found wrong; anybody's folder of rules, however bad."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Cli, json_of

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.knowledge import Library
from threatmatrix.knowledge.layers import Layers
from threatmatrix.model.errors import FormatError, UnknownNameError
from threatmatrix.model.matrix import RuleSource
from threatmatrix.workflows.rule_files import read_rule_files
from threatmatrix.workflows.rule_sql import rule_sql
from threatmatrix.workflows.rules import Catalogue, Wanted, catalogue

READ: dict[str, Any] = {
    "title": "A model is read",
    "id": "5d1c3b7e-0f57-4c39-9d7e-2f60a5a1c001",
    "name": "model_is_read",
    "description": "Somebody reads.",
    "tags": ["attack.t1078"],
    "logsource": {"category": "model_registry"},
    "detection": {"selection": {"operation": "get"}, "condition": "selection"},
    "falsepositives": ["Everybody"],
    "level": "low",
    "tests": [
        {"name": "read", "fires": True, "events": [{"operation": "get", "principal": "bob"}]},
        {"name": "written", "fires": False, "events": [{"operation": "create", "principal": "bob"}]},
    ],
}
ASIDE: dict[str, Any] = {
    "title": "The load test",
    "description": "It runs every night.",
    "owner": "platform",
    "expires": "2100-01-01",
    "logsource": {"category": "inference"},
    "filter": {"rules": "inference_burst", "load": {"principal": "load-test"}, "condition": "not load"},
}


def write(file: str, *documents: dict[str, Any]) -> Path:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(json.loads(json.dumps(documents)), sort_keys=False))
    return path


@pytest.fixture(scope="module")
def known(shipped: Library) -> Catalogue:
    return catalogue(shipped)


# --- list and show ----------------------------------------------------------------------------------


def titles(known: Catalogue, **wanted: str) -> set[str]:
    return {entry.rule.meta.name for entry in known.select(Wanted(**wanted))}


def test_rules_are_found_by_what_they_are(known: Catalogue) -> None:
    burst = {"inference_burst"}
    assert burst <= titles(known, technique="online-evasion") < titles(known)
    assert burst <= titles(known, technique="AML.T0015")
    assert burst <= titles(known, technique="evasion-attack"), "a technique has its sub-techniques' rules"
    assert burst <= titles(known, kind="correlation", level="medium", category="inference")
    assert burst <= titles(known, kind="event_count")
    assert not burst & titles(known, kind="event")
    assert burst <= titles(known, tag="aml-t0043", search="scripted BURST")
    assert not titles(known, search="no rule says this")
    for wanted in ({"technique": "online-evasoin"}, {"level": "urgent"}, {"category": "process"}, {"kind": "often"}):
        with pytest.raises(UnknownNameError):
            titles(known, **wanted)


def test_a_rule_goes_by_its_id_name_and_title(known: Catalogue) -> None:
    entry = known.entry("inference_burst")
    assert entry is known.entry(entry.rule.meta.key.upper()) is known.entry(f" {entry.rule.meta.title} ")
    (step,) = known.steps(entry)
    assert step.rule.meta.name == "scripted_inference_client"
    assert step.silent
    assert entry.rule.meta.title in step.counted_by
    with pytest.raises(UnknownNameError, match="Did you mean inference_burst"):
        known.entry("inference_brust")


def test_list_shows_what_is_suppressed_and_by_whom(cli: Cli) -> None:
    write("aside.yml", ASIDE, {**ASIDE, "title": "Gone by", "expires": "2020-01-01"})
    said = cli("rules", "list", "--search", "scripted", "--suppressions", "aside.yml")
    assert said.code == 0
    assert "suppressed by The load test" in said.out
    assert "suppression: The load test, platform, until 2100-01-01, of 1 rule" in said.out
    assert "suppression: Gone by, platform, ended on 2020-01-01, of 1 rule" in said.out
    told = json_of(cli("rules", "list", "--format", "json", "--suppressions", "aside.yml"))
    by_name = {rule["name"]: rule for rule in told["rules"]}
    assert by_name["inference_burst"]["suppressed_by"] == ["The load test", "Gone by"]
    assert by_name["scripted_inference_client"]["silent"]
    assert {one["title"]: one["expired"] for one in told["suppressions"]} == {"The load test": False, "Gone by": True}


def test_show_says_what_a_rule_finds_and_needs(cli: Cli) -> None:
    said = cli("rules", "show", "inference_burst", "--sql")
    assert said.code == 0
    for line in (
        "Burst of inference by a scripted client",
        "at least 100 events within 1m, for each principal; of",
        "       an event of category inference where",
        "- events of category inference with user_agent",
        "- atlas.aml-t0015: https://atlas.mitre.org/techniques/AML.T0015",
        "SQL, Burst of inference by a scripted client",
    ):
        assert line in said.out, line
    assert (
        "no rule is called 'inference_brust'. Did you mean inference_burst"
        in cli("rules", "show", "inference_brust").error
    )


def test_there_is_sql_of_a_rule_whose_field_no_event_has() -> None:
    detection = {"s": {"hosst": "x"}, "t": {'a"; DROP TABLE events; --': "y"}, "condition": "s or t or not s"}
    written = yaml.safe_dump({"title": "Misspelt", "logsource": {"category": "http"}, "detection": detection})
    ruleset = compile_rules([RuleSource("r.yml", written, "")], strict=True)
    ((title, sql),) = rule_sql(ruleset, ruleset.rules[0]).items()
    assert title == "Misspelt"
    assert "FALSE" in sql
    assert "DROP" not in sql


def test_an_unknown_name_lists_some_names_and_counts_the_rest() -> None:
    error = UnknownNameError("rule", "zzzz", [f"rule {number}" for number in range(1_100)])
    assert "rule 39 and 1,060 more" in str(error)
    assert str(UnknownNameError("rule", "zzzz", ["a", "b"])).endswith("Valid: a, b")


# --- test -------------------------------------------------------------------------------------------


def test_tests_pass_and_fail(cli: Cli) -> None:
    write("mine/read.yml", READ)
    said = cli("rules", "test", "mine")
    assert (said.code, "2 tests passed, 0 failed, of 1 rule" in said.out) == (0, True)
    write("mine/read.yml", READ | {"detection": {"selection": {"operation": "create"}, "condition": "selection"}})
    said = cli("rules", "test", "mine/read.yml")
    assert said.code == 1
    assert "0 tests passed, 2 failed" in said.out
    told = json_of(cli("rules", "test", "mine", "--format", "json"))
    assert (told["passed"], told["failed"]) == (0, 2)
    [rule] = told["rules"]
    assert [(each["name"], each["expected"], each["fired"], each["problem"]) for each in rule["results"]] == [
        ("read", True, False, "does not fire"),
        ("written", False, True, "fires, and must not"),
    ]


def test_what_is_refused_is_named_while_the_others_run(cli: Cli) -> None:
    write("mine/read.yml", READ)
    write("mine/bad.yml", READ | {"id": None, "name": "bad", "detection": {"s": {"model|near": 1}, "condition": "s"}})
    Path("mine/broken.yml").write_text("detection: [\n")
    write(
        "mine/odd.yml",
        {**READ, "name": "odd", "id": None, "tests": [{"name": "x", "fires": True, "events": [{"at": "soon"}]}]},
    )
    said = cli("rules", "test", "mine")
    assert said.code == 1, "a test that could not be run has not passed"
    assert "2 tests passed, 2 failed" in said.out
    for line in (
        "refused: mine/bad.yml:",
        "refused: mine/broken.yml:2: not valid YAML",
        "mine/odd.yml:",
        "'soon' is no time",
    ):
        assert line in said.err
    Path("mine/bad.yml").unlink()
    assert cli("rules", "test", "mine").code == 0
    assert cli("rules", "test", "mine", "--strict").code == 2


def test_no_test_is_no_success(cli: Cli) -> None:
    write("mine/read.yml", {key: value for key, value in READ.items() if key != "tests"})
    said = cli("rules", "test", "mine")
    assert said.code == 2
    assert "1 rule without tests: A model is read" in said.out
    assert "there is no such file or folder" in cli("rules", "test", "nowhere").error
    Path("empty").mkdir()
    assert "no rule file here" in cli("rules", "test", "empty").error


def test_a_correlation_may_name_the_librarys_rules_where_that_is_asked_for(cli: Cli) -> None:
    correlation = {
        "type": "event_count",
        "rules": ["scripted_inference_client"],
        "timespan": "1m",
        "condition": {"gte": 2},
    }
    event = {"category": "inference", "principal": "bob", "user_agent": "python-x", "repeat": 2}
    tests = [{"name": "twice", "fires": True, "events": [event]}]
    write("mine/twice.yml", {"title": "Twice", "correlation": correlation, "tests": tests})
    assert cli("rules", "test", "mine").code == 1
    assert cli("rules", "test", "mine", "--with-library").code == 0


def test_a_folder_of_anything_is_read_within_bounds(tmp_path: Path) -> None:
    outside = write(str(tmp_path / "outside.yml"), READ)
    root = tmp_path / "rules"
    write(str(root / "deep/er/read.yml"), READ)
    write(str(root / "pipeline.yml"), {"transformations": []})
    write(str(root / "aside.yml"), ASIDE)
    write(str(root / ".git/hidden.yml"), READ)
    (root / "readme.md").write_text("no rule")
    (root / "latin.yml").write_bytes("title: caf\xe9\ndetection: x\n".encode("latin-1"))
    (root / "huge.yml").write_text("detection: x\n" + "#" * 300_000)
    (root / "link.yml").symlink_to(outside)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.yml")
    found = read_rule_files([root])
    assert [Path(source.file).name for source in found.sources] == ["read.yml"]
    assert [Path(source.file).name for source in found.filters] == ["aside.yml"]
    assert found.passed == 2  # the pipeline, the readme
    assert {Path(error.file).name: error.message.rpartition(": ")[2] for error in found.unread} == {
        "huge.yml": "larger than 256 KiB",
        "latin.yml": "not UTF-8 text",
        "link.yml": "links in a folder are not followed",
        "loop": "links in a folder are not followed",
        "pipe.yml": "no regular file",
    }
    named = read_rule_files([root / "link.yml", outside, root / "pipeline.yml"])
    assert len(named.sources) == 2, "what is named is read, each file once"


# --- lint -------------------------------------------------------------------------------------------


def lint(cli: Cli, *documents: dict[str, Any]) -> set[str]:
    write("mine/rule.yml", *documents)
    told = json_of(cli("rules", "lint", "mine", "--format", "json"))
    assert all(item["line"] and item["file"].endswith("rule.yml") for item in told["findings"])
    return {item["check"][:7] for item in told["findings"]}


def detection(condition: str = "s", **searches: Any) -> dict[str, Any]:
    return {**READ, "detection": {**searches, "condition": condition}}


TEST = READ["tests"]


@pytest.mark.parametrize(
    ("document", "checks"),
    [
        (READ, set()),
        (READ | {"level": "urgent"}, {"TM-R001"}),
        ({key: value for key, value in READ.items() if key not in ("id", "falsepositives")}, {"TM-R002"}),
        (detection(s={"opration": "get"}), {"TM-R003"}),
        (READ | {"fields": ["principl"]}, {"TM-R003"}),
        (READ | {"tests": [{"name": "x", "fires": True, "events": []}]}, {"TM-R004"}),
        ({key: value for key, value in READ.items() if key != "tests"}, {"TM-R005"}),
        (READ | {"tests": TEST[:1]}, {"TM-R006"}),
        (detection("a and b", a={"status": 200}, b={"status": 404}), {"TM-R008"}),
        (detection("a and b", a={"status|gte": 400}, b={"status|lt": 400}), {"TM-R008"}),
        (detection("a and not a", a={"model": "x"}), {"TM-R008"}),
        (detection("a or not a", a={"model": "x"}), {"TM-R009"}),
        (detection("not a", a={"model": "x"}), {"TM-R010"}),
        (detection(s={"user_agent|contains": "py"}), {"TM-R011"}),
        (detection(s={"user_agent|re": "^curl/"}), {"TM-R012"}),
        (READ | {"tags": ["attack.t9999", "threatmatrix.online-evasoin"]}, {"TM-M001", "TM-M012"}),
        (READ | {"tags": ["atlas.aml-t0024.002", "threatmatrix.model-stealing"]}, set()),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_is_found(cli: Cli, document: dict[str, Any], checks: set[str]) -> None:
    assert lint(cli, document) == checks


def test_repeated_ids_and_titles(cli: Cli) -> None:
    assert lint(cli, READ, READ) == {"TM-R001", "TM-R007"}


def test_suppressions_are_checked_with_the_rules_that_they_are_for(cli: Cli) -> None:
    write("mine/aside.yml", ASIDE, {**ASIDE, "title": "Gone", "expires": "2020-01-01"}, {**ASIDE, "owner": ""})
    said = cli("rules", "lint", "mine", "--format", "json")
    assert said.code == 1
    found = json_of(said)["findings"]
    assert sorted((item["check"][:7], item["line"]) for item in found) == [("TM-R001", 27), ("TM-R013", 13)]
    sarif = json_of(cli("rules", "lint", "mine", "--format", "sarif"))
    assert {result["ruleId"] for result in sarif["runs"][0]["results"]} == {"TM-R001-refused", "TM-R013-expired"}


def test_the_exit_code_is_that_of_the_worst(cli: Cli) -> None:
    write("mine/rule.yml", {key: value for key, value in READ.items() if key != "tests"})
    assert cli("rules", "lint", "mine").code == 0
    assert cli("rules", "lint", "mine", "--strict").code == 1


# --- suppressions in detect ---------------------------------------------------------------------------


def test_what_detect_sets_aside_is_said(cli: Cli) -> None:
    line = {
        "v": 1, "category": "inference", "operation": "infer", "principal": "load-test", "model": "digits",
        "user_agent": "python-httpx/0.28", "status": 200, "row": 0, "rows": 1, "decision": "allow",
    }  # fmt: skip
    rows = [{**line, "time": 1_767_600_000_000_000 + n * 100_000, "event_id": f"a:{n}"} for n in range(150)]
    Path("log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write("aside.yml", ASIDE)
    burst = "Burst of inference by a scripted client"
    plain, quiet = (
        cli("detect", "log.jsonl", "--format", "json", *more) for more in ((), ("--suppressions", "aside.yml"))
    )
    assert burst in {finding["title"] for finding in json_of(plain)["findings"]}
    assert burst not in {finding["title"] for finding in json_of(quiet)["findings"]}
    assert "suppressed: 150 events by The load test (platform, until 2100-01-01), of 1 rule" in quiet.err
    [aside] = json_of(quiet)["suppressed"]
    assert (aside["title"], aside["owner"], aside["expires"], aside["events"]) == (
        "The load test", "platform", "2100-01-01", 150,
    )  # fmt: skip
    write("aside.yml", ASIDE | {"owner": ""})
    assert "owner: a suppression needs this key" in cli("detect", "log.jsonl", "--suppressions", "aside.yml").error


# --- suppressions and pipelines of a library ----------------------------------------------------------


def test_an_overlay_adds_overrides_and_disables(tmp_path: Path) -> None:
    root, over = tmp_path / "root", tmp_path / "over"
    for folder, name, text in (
        (root, "kept", "root"), (root, "changed", "root"), (root, "gone", "root"),
        (over, "changed", "over"), (over, "gone", "disabled: true"), (over, "new", "over"),
    ):  # fmt: skip
        path = folder / "suppressions" / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "matrix.yaml").write_text("")
    sources = Layers(root, over).sources("suppressions")
    assert [(Path(source.file).stem, source.text) for source in sources] == [
        ("changed", "over"), ("kept", "root"), ("new", "over"),
    ]  # fmt: skip
    (over / "suppressions" / "list.csv").write_text("")
    with pytest.raises(FormatError, match=r"list\.csv: a file of this kind does not belong here"):
        Layers(root, over).sources("suppressions")


def test_a_librarys_suppressions_hold_for_every_command(cli: Cli) -> None:
    write("mine/suppressions/aside.yml", ASIDE)
    assert cli("--library", "mine", "rules", "list", "--search", "none").out.count("suppression: The load test") == 1


def test_a_contribution_brings_no_suppressions_along(cli: Cli) -> None:
    write("theirs/suppressions/aside.yml", ASIDE)
    assert cli("technique", "new", "theirs/techniques/slow-probing").code == 0
    said = cli("matrix", "import", "theirs")
    assert said.code == 2
    assert "theirs/suppressions: a contribution may not bring this along" in said.error
