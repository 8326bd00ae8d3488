"""An analyst with log files: what is found, what cannot be seen, what cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, json_of
from tests.telemetry.log_records import LITELLM, NGINX

BURST = "Burst of inference by a scripted client"
CLUSTERS = "Cluster of near-duplicate queries"


def test_formats_say_the_same(cli: Cli, sample: dict[str, Path]) -> None:
    told = {style: cli("detect", sample["attack"], "--format", style) for style in ("table", "json", "jsonl", "ocsf")}
    assert {said.code for said in told.values()} == {1}
    assert "Online evasion" in told["table"].out
    assert "medium" in told["table"].out
    [finding] = json_of(told["json"])["findings"]
    assert (finding["title"], finding["severity"], finding["technique_name"]) == (BURST, "medium", "Online evasion")
    assert "AML.T0015" in finding["atlas"]
    assert [json.loads(line) for line in told["jsonl"].out.splitlines()] == [finding]
    [ocsf] = [json.loads(line) for line in told["ocsf"].out.splitlines()]
    assert (ocsf["class_uid"], ocsf["severity_id"]) == (2004, 3)
    assert ocsf["finding_info"]["uid"] == finding["finding_id"]


@pytest.mark.parametrize(
    ("level", "code"), [("informational", 1), ("low", 1), ("medium", 1), ("high", 0), ("critical", 0)]
)
def test_fail_on(cli: Cli, sample: dict[str, Path], level: str, code: int) -> None:
    said = cli("detect", sample["attack"], "--fail-on", level)
    assert said.code == code
    assert "Online evasion" in said.out


def test_honest_traffic_is_no_finding_and_blind_spots_are_not_clean(cli: Cli, sample: dict[str, Path]) -> None:
    said = cli("detect", sample["benign"])
    assert said.code == 0
    assert "No findings, but that is not clean" in said.out
    assert CLUSTERS in said.out
    assert f"{CLUSTERS}: no visibility: needs input_vec, vec_scale, vec_key" in said.err
    blind = json_of(cli("detect", sample["benign"], "--format", "json"))["no_visibility"]
    assert {"input_vec", "vec_scale", "vec_key"} in [set(each["needs"]) for each in blind]
    assert all(each["reason"].startswith("no visibility: needs ") for each in blind)


def test_a_table_of_findings_names_what_nobody_looked_for(cli: Cli, sample: dict[str, Path]) -> None:
    said = cli("detect", sample["attack"])
    assert f"Not the whole picture: no visibility for {CLUSTERS}, " in " ".join(said.out.split())
    assert "more rules." in said.out, "hundreds of rules are not all named"
    assert len(said.err.splitlines()) < 60


def test_standard_input_gzip_and_several_files(cli: Cli, sample: dict[str, Path], place: Path) -> None:
    lines = sample["attack"].read_bytes().splitlines(keepends=True)
    first, rest = place / "first.jsonl.gz", place / "rest.jsonl"
    first.write_bytes(gzip.compress(b"".join(lines[:50])))
    rest.write_bytes(b"".join(lines[50:]))
    whole = json_of(cli("detect", sample["attack"], "--format", "json"))["findings"]
    for files, stdin in (((first, rest), b""), (("-",), b"".join(lines)), ((first, "-"), b"".join(lines[50:]))):
        said = cli("detect", *files, "--format", "json", stdin=stdin)
        assert said.code == 1
        assert json_of(said)["findings"] == whole


@pytest.mark.parametrize(("name", "record"), [("nginx", NGINX), ("litellm", LITELLM)])
@pytest.mark.parametrize("how", ["auto", "named"])
def test_other_sources(cli: Cli, place: Path, name: str, record: dict[str, object], how: str) -> None:
    log = place / "some.log"
    log.write_text(json.dumps(record) + "\n")
    said = cli("detect", log, "--format", "json", "--source", "auto" if how == "auto" else name)
    assert said.code == 0
    assert json_of(said)["events"] == 1
    blind = {each["title"]: each["needs"] for each in json_of(said)["no_visibility"]}
    assert "input_vec" in blind[CLUSTERS]


def test_malformed_lines_are_counted_kept_and_explained(cli: Cli, sample: dict[str, Path], place: Path) -> None:
    log = place / "mixed.jsonl"
    log.write_bytes(b"{nonsense\n" + sample["attack"].read_bytes() + b'{"v": 1, "time": "never"}\n[1]\n')
    said = cli("detect", log, "--format", "json", "--dead-letters", "letters/dead.jsonl")
    report = json_of(said)
    assert said.code == 1
    assert (report["dead_letters"], report["events"], len(report["findings"])) == (3, 104, 1)
    letters = [json.loads(line) for line in (place / "letters/dead.jsonl").read_text().splitlines()]
    assert [(letter["line"], letter["file"]) for letter in letters] == [(n, str(log)) for n in (1, 106, 107)]
    assert letters[0]["text"] == "{xxxxxxxx"
    assert sum(report["dead_letter_reasons"].values()) == 3
    assert report["dead_letter_file"] == "letters/dead.jsonl"
    [line] = [line for line in said.err.splitlines() if "malformed" in line]
    assert line.startswith("3 malformed lines went to letters/dead.jsonl: ")
    assert "not a JSON object (1)" in line


def test_lines_are_kept_whole_only_where_somebody_asks(cli: Cli, sample: dict[str, Path], place: Path) -> None:
    log = place / "mixed.jsonl"
    log.write_bytes(b"{nonsense\n" + sample["attack"].read_bytes())
    cli("detect", log, "--dead-letters", "dead.jsonl", "--keep-raw")
    assert json.loads((place / "dead.jsonl").read_text())["text"] == "{nonsense"


def test_dead_letters_that_cannot_be_kept_stop_the_run(cli: Cli, place: Path) -> None:
    (place / "file").write_text("x")
    (place / "log.jsonl").write_text("{nonsense\n")
    said = cli("detect", "log.jsonl", "--source", "gateway", "--dead-letters", "file/dead.jsonl")
    assert said.code == 2
    assert "file/dead.jsonl" in said.error


def test_a_file_without_a_single_event_is_not_clean(cli: Cli, place: Path) -> None:
    (place / "app.log").write_text("hello\nworld\n")
    said = cli("detect", "app.log", "--source", "gateway", "--format", "json")
    assert said.code == 2
    assert "app.log: not one of 2 lines could be read" in said.error
    assert "--source" in said.error
    assert json_of(said)["unreadable"] in said.error


def test_a_truncated_gzip_gives_its_findings_and_exit_2(cli: Cli, sample: dict[str, Path], place: Path) -> None:
    lines = sample["attack"].read_bytes() + sample["benign"].read_bytes() * 20
    (place / "cut.gz").write_bytes(gzip.compress(lines)[:-40])
    for style in ("table", "json", "ocsf"):
        said = cli("detect", "cut.gz", "--format", style, "--fail-on", "critical")
        assert said.code == 2
        assert "cut.gz: is a truncated gzip file" in said.error
        assert "online-evasion" in said.out.lower().replace(" ", "-")
    assert "truncated" in json_of(cli("detect", "cut.gz", "--format", "json"))["unreadable"]


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("gone.jsonl", None, ("no such file", "Check the path")),
        ("void.jsonl", b"", ("is empty", "Check that the log is written there")),
        ("blob.bin", bytes(range(256)) * 20, ("is a binary file", "JSON lines")),
        ("folder", "folder", ("is a directory", "folder/*.jsonl")),
        ("notes.txt", b"dear diary\n", ("gateway, ", "nginx", "--source")),
        ("log.xz", b"\xfd7zXZ\x00rest", ("is packed with xz", "xz -dc log.xz | threatmatrix")),
    ],
)
def test_input_that_is_no_log(
    cli: Cli, place: Path, name: str, content: bytes | str | None, parts: tuple[str, ...]
) -> None:
    if isinstance(content, str):
        (place / name).mkdir()
    elif content is not None:
        (place / name).write_bytes(content)
    said = cli("detect", name)
    assert (said.code, said.out) == (2, "")
    assert said.error.startswith(f"error: {name}: ")
    assert all(part in said.error for part in parts)


def test_names_that_do_not_exist(cli: Cli, sample: dict[str, Path]) -> None:
    said = cli("detect", sample["attack"], "--source", "apache")
    assert said.code == 2
    assert all(name in said.error for name in ("apache", "gateway", "nginx", "litellm", "auto"))
    assert "ngin" in (near := cli("detect", sample["attack"], "--source", "ngnix")).error
    assert near.code == 2
    for option in ("--calibration", "--systems"):
        said = cli("detect", sample["attack"], option, "nowhere.json")
        assert (said.code, said.out) == (2, "")
        assert "nowhere.json: " in said.error


@pytest.mark.parametrize("content", ["[1]", "{", '{"a": 1}', '[{"monitor": "x"}]', "null", "\x00"])
def test_a_calibration_that_is_none(cli: Cli, sample: dict[str, Path], place: Path, content: str) -> None:
    (place / "learnt.json").write_text(content)
    said = cli("detect", sample["attack"], "--calibration", "learnt.json")
    assert said.code == 2
    assert "learnt.json: is no calibration file" in said.error


def test_a_client_cannot_write_on_the_terminal(cli: Cli, sample: dict[str, Path], place: Path) -> None:
    evil = "eve\x1b[2J\x1b]0;owned\x07\n[bold]safe[/bold]\u202e"
    with (place / "log.jsonl").open("w") as log:
        for line in sample["attack"].read_text().splitlines():
            log.write(json.dumps(json.loads(line) | {"principal": evil}) + "\n")
    told = [cli("detect", "log.jsonl", "--save"), cli("incidents")]
    [incident] = json_of(cli("incidents", "--format", "json"))
    told += [cli("incidents", "show", incident["incident_id"]), cli("respond", "run", incident["incident_id"])]
    for said in told:
        assert not set("\x1b\x07\u202e") & set(said.out + said.err)
        assert "eve\\x1b" in "".join(said.out.split())
        assert "[bold]" in "".join(said.out.split())
    assert json_of(cli("detect", "log.jsonl", "--format", "json"))["findings"][0]["principals"][0]["principal"] == evil


def test_the_next_step_is_named(cli: Cli, sample: dict[str, Path]) -> None:
    assert cli("detect", sample["attack"]).err.splitlines()[-1].startswith("next: add --save")
    kept = cli("detect", sample["attack"], "--save").err.splitlines()[-1]
    [incident] = json_of(cli("incidents", "--format", "json"))
    assert kept.startswith("1 incident new or grown; next: ")
    assert f"threatmatrix incidents show {incident['incident_id']}" in kept
    assert "already" in cli("detect", sample["attack"], "--save").err.splitlines()[-1]
    assert "next" not in cli("detect", sample["benign"]).err


def test_findings_are_printed_even_where_the_store_fails(cli: Cli, sample: dict[str, Path], place: Path) -> None:
    (place / "store.db").write_text("this is no database, whatever its name says" * 50)
    said = cli("--store", f"sqlite:///{place}/store.db", "detect", sample["attack"], "--save")
    assert said.code == 3
    assert "store.db" in said.error
    assert "Online evasion" in said.out


def test_a_secret_that_is_damaged_is_not_replaced_in_silence(cli: Cli, place: Path) -> None:
    (place / ".threatmatrix").mkdir()
    (place / "llm.jsonl").write_text(json.dumps(LITELLM) + "\n")
    assert cli("detect", "llm.jsonl").code == 0
    keys = place / ".threatmatrix/keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    keys.write_bytes(b"short")
    said = cli("detect", "llm.jsonl")
    assert said.code == 2
    assert "keys.json: is not a file of keys (not JSON). Restore it from a backup" in said.error
    assert keys.read_bytes() == b"short"
