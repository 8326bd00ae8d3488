"""Parts of an emulation side by side: status, two runs, warm-up, the store, what a report may say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.emulate.small_server import Web, good, small_server
from tests.workflows.taught_model import KEY, LIBRARY, NOW, Stages, Taught, asked, ran, sign, state

from threatmatrix.emulate.lifecycle import Lifecycle
from threatmatrix.emulate.targets import parse_target
from threatmatrix.knowledge import Library, load_library
from threatmatrix.model.errors import (
    FormatError,
    KillSwitchThrown,
    ScopeError,
    UsageError,
)
from threatmatrix.model.evidence import AttackResult, SampleOutcome
from threatmatrix.remediate.compare import wilson
from threatmatrix.workflows.emulation import Request, clean_up, emulate, emulations, find, prepare
from threatmatrix.workflows.emulation.place import Emulation, new_folder, write_emulation
from threatmatrix.workflows.emulation.report import emulated
from threatmatrix.workflows.evidence import verify_evidence
from threatmatrix.workflows.home import Home


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with small_server() as web:
        yield web


@pytest.fixture
def model(web: Web) -> Taught:
    return Taught(web)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RED_TEAM_KEY", KEY)


def test_the_kill_switch_stops_clean_up_too_until_it_is_asked_for(model: Taught, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    switch = home.emulations / "feedback-poisoning-1" / "STOP"
    model.infer = lambda rows: (switch.touch() if model.lessons else None, (200, {}, good(rows)))[1]
    with pytest.raises(KillSwitchThrown, match="emulate clean-up feedback-poisoning-1"):
        ran(asked(model, tmp_path, "feedback-poisoning"), tmp_path)
    assert model.lessons
    assert clean_up(find(home, "feedback-poisoning-1"), LIBRARY).done
    assert model.lessons == []


def test_status_while_it_runs_tells_so_and_what_stands(model: Taught, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    seen: list[tuple[str, int]] = []
    name = LIBRARY.procedure("survey-answers").name
    stages = Stages(name, lambda: seen.append(state(tmp_path)))
    ran(asked(model, tmp_path, "feedback-poisoning", "survey-answers"), tmp_path, stages)
    assert seen[0][0] == "running"
    assert seen[0][1] > 0
    (found,) = emulations(home)
    (found.folder / "state.json").write_text("{")
    (found.folder.parent / "other-1").mkdir()
    (found.folder.parent / "other-1" / "emulation.json").write_text("[]")
    assert [each.state for each in emulations(home)] == ["damaged", "damaged"]
    with pytest.raises(FormatError, match=r"emulation\.json"):
        find(home, "other-1")


def test_two_emulations_in_one_home_have_a_folder_each(model: Taught, tmp_path: Path) -> None:
    inner: list[str] = []

    def another() -> None:
        if not inner:
            inner.append("")
            inner[0] = ran(asked(model, tmp_path, "simba"), tmp_path).name

    outer = ran(asked(model, tmp_path, "simba"), tmp_path, Stages("random-control", another))
    assert [outer.name, *inner] == ["simba-1", "simba-2"]
    home = Home(tmp_path / "home")
    assert [each.state for each in emulations(home)] == ["clean", "clean"]
    with home.open_store() as store:
        assert len(store.evidence.list()) == 2
    assert verify_evidence(home, None).intact
    assert all(verify_evidence(home, each.folder / "evidence.jsonl").intact for each in emulations(home))


def test_a_scope_that_pays_for_the_dry_run_pays_for_the_run(model: Taught, tmp_path: Path) -> None:
    prepared = prepare(asked(model, tmp_path, "feedback-poisoning"), LIBRARY, NOW)
    total = prepared.plan.queries.total
    request = asked(model, tmp_path, "feedback-poisoning", scope_file=tmp_path / "scope.yaml")
    sign(tmp_path, max_queries=str(total - 1))
    with pytest.raises(ScopeError, match="do not reach"):
        prepare(request, LIBRARY, NOW)
    sign(tmp_path, max_queries=str(total))
    assert ran(request, tmp_path).queries <= total


READ_AFTER_LESSONS = """
id: read-after-lessons
name: Read after lessons
description: Teach first, then read what the endpoint tells.
access: none
modality: any
needs: [feedback]
inputs: [reports, taught]
warm_up:
  - use: feedback_poisoning
steps:
  - use: read_metadata
budget: {max_queries: 700}
success: {metric: endpoints_read, norm: none, threshold: 0.0}
safety: {idempotent: true, destructive: true, revert: What was taught is taken back.}
"""


def overlaid(folder: Path, technique: str, procedure: str) -> Library:
    place = folder / "overlay/techniques" / technique / "procedures"
    place.mkdir(parents=True)
    name = next(line for line in procedure.splitlines() if line.startswith("id: "))[4:]
    (place / f"{name}.yaml").write_text(procedure)
    return load_library(folder / "overlay")


def test_a_warm_up_runs_first_stays_through_every_way_and_goes_at_clean_up(model: Taught, tmp_path: Path) -> None:
    library = overlaid(tmp_path, "ml-model-discovery", READ_AFTER_LESSONS)
    stood: list[int] = []
    prepared = prepare(asked(model, tmp_path, "read-after-lessons"), library, NOW)
    assert [line.variant for line in prepared.plan.queries.lines] == ["metadata", "warm-up", "plain"]
    stages = Stages(", plain", lambda: stood.append(len(model.lessons)))
    report = emulate(prepared, Home(tmp_path / "home"), library, progress=stages, now=NOW)
    assert stood[0] > 0
    assert report.queries <= prepared.plan.queries.total
    assert (report.cleaned, model.lessons) == (True, [])


def test_a_warm_up_on_one_sample_at_a_time_is_none(model: Taught, tmp_path: Path) -> None:
    library = overlaid(tmp_path, "ml-model-discovery", READ_AFTER_LESSONS.replace("feedback_poisoning", "simba"))
    with pytest.raises(UsageError, match="read-after-lessons: warm_up: simba"):
        prepare(asked(model, tmp_path, "read-after-lessons"), library, NOW)


def test_lessons_of_two_procedures_cannot_be_told_apart_and_are_refused(model: Taught, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="emulation of its own"):
        prepare(asked(model, tmp_path, "feedback-poisoning", "sybil-reports"), LIBRARY, NOW)


def test_of_a_reference_targets_killed_run_nothing_is_left(tmp_path: Path) -> None:
    folder = new_folder(Home(tmp_path), "feedback-poisoning")
    about = Emulation(
        procedures=("feedback-poisoning",), target="oip:http://127.0.0.1:1/v2/models/phishing", model="phishing",
        scope="", seed=1, correlation="c", served=True,
    )  # fmt: skip
    write_emulation(folder, about)
    with Lifecycle.open(folder) as life, life.detonation() as journal:
        for kind in ("teach", "put", "account", "key"):
            journal.intend(kind, credential="", before=None)
    found = find(Home(tmp_path), folder.name)
    assert (found.state, found.pending) == ("detonated", 4)
    came = clean_up(found, LIBRARY)
    assert (came.done, came.undone, came.nothing) == (True, 0, 4)


def test_the_artefact_store_has_to_stand_in_the_scope_too(tmp_path: Path) -> None:
    path = sign(tmp_path, models="digits")
    path.write_text(path.read_text().replace("data-poisoning", "valid-account"))
    request = Request(
        procedures=("register-an-account",), target=parse_target("reference:digits"), scope_file=path, samples=2
    )
    with pytest.raises(ScopeError, match="'artefact-store' is not in scope"):
        prepare(request, LIBRARY, NOW)


def test_what_is_no_number_is_in_no_report() -> None:
    outcome = SampleOutcome(index=0, claimed=True, confirmed=True, queries=1, distance=float("inf"), refused=False)
    result = AttackResult(
        procedure="label-flip", technique="data-poisoning", variant="plain", norm="none", threshold=0.0,
        outcomes=(outcome,), queries=1, confirm_queries=1, seed=1, correlation="c", seconds=0.1,
        figures={"before": float("nan"), "after": 0.5},
    )  # fmt: skip
    each = emulated(LIBRARY.procedure("label-flip"), wilson(0, 0), {"plain": result})
    assert each.figures == {"after": 0.5}
    json.dumps(asdict(each), allow_nan=False)


def test_a_single_try_worked_where_the_controls_did_not() -> None:
    def result(variant: str, confirmed: bool) -> AttackResult:
        outcome = SampleOutcome(index=0, claimed=confirmed, confirmed=confirmed, queries=1, distance=0.0, refused=False)
        return AttackResult(
            procedure="sign-in-with-valid-account", technique="valid-account", variant=variant, norm="none",
            threshold=0.0, outcomes=(outcome,), queries=1, confirm_queries=0, seed=1, correlation="c", seconds=0.1,
        )  # fmt: skip

    procedure = LIBRARY.procedure("sign-in-with-valid-account")
    for attack, control, worked in ((True, False, True), (True, True, False), (False, False, False)):
        results = {"plain": result("plain", attack), "random-control": result("random-control", control)}
        assert emulated(procedure, wilson(0, 0), results).worked is worked


def test_a_control_in_the_store_leaves_the_attacker_signed_in_as_he_was(tmp_path: Path) -> None:
    request = Request(
        procedures=("register-an-account", "harvest-secrets", "read-private-objects"),
        target=parse_target("reference:digits"), scope_file=None, samples=2, furnishing="recognition",
    )  # fmt: skip
    prepared = prepare(request, LIBRARY, NOW)
    report = emulate(prepared, Home(tmp_path / "home"), LIBRARY, progress=Stages(), now=NOW)
    assert all(each.attacked.confirmed.successes for each in report.procedures)
    assert report.cleaned
    assert report.queries <= prepared.plan.queries.total
