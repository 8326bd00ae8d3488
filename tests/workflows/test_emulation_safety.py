"""Emulations against targets that misbehave, and emulations that end badly: what is left, what is said, what leaks."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.emulate.small_server import Reply, Web, good, small_server
from tests.workflows.taught_model import KEY, LIBRARY, Stages, Taught, answer, asked, ran, sign, state

from threatmatrix.model.errors import (
    RunError,
    ScopeError,
    StoreError,
    TargetError,
    ThreatmatrixError,
)
from threatmatrix.workflows.emulation import clean_up, find
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


@pytest.mark.parametrize(
    ("infer", "kind", "said"),
    [
        (lambda rows: (500, {}, f"boom {KEY}".encode()), TargetError, "HTTP 500"),
        (lambda rows: (401, {}, f"give me your key, not {KEY}".encode()), RunError, "HTTP 401"),
        (lambda rows: (302, {"location": f"http://198.51.100.7/{KEY}"}, b""), ScopeError, "redirects"),
        (lambda rows: (200, {"content-encoding": "gzip"}, gzip.compress(good(rows))), TargetError, "is not that of"),
        (lambda rows: (200, {"content-length": "9999"}, b"{"), TargetError, "did not answer"),
        (lambda rows: (200, {}, b"[" * 100_000), TargetError, "is not that of"),
        (answer(label=[float("nan")] * 4), TargetError, "is not that of"),
        (answer(label=[7] * 4), TargetError, "outside 0..1"),
        (answer(label=[10**400] * 4), TargetError, "is not that of"),
        (answer(label=[1] * 3), TargetError, "3 labels for 4 rows"),
    ],
)  # fmt: skip
def test_a_hostile_answer_ends_the_emulation_and_no_secret_gets_out(
    model: Taught, tmp_path: Path, infer: Callable[[int], Reply], kind: type[ThreatmatrixError], said: str
) -> None:
    model.infer = infer
    model.web.close_after = True
    with pytest.raises(kind, match=said) as caught:
        ran(asked(model, tmp_path, "simba"), tmp_path)
    assert KEY not in str(caught.value) + repr(caught.value)
    assert state(tmp_path) == ("clean", 0)
    assert sum(path.endswith("/infer") for path, _, _ in model.web.seen) == 1
    for path in (tmp_path / "home").rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_a_target_that_fails_while_it_tells_what_it_takes_is_asked_nothing_more(model: Taught, tmp_path: Path) -> None:
    model.web.say = lambda path, body: (503, {}, b"")
    with pytest.raises(TargetError, match="503"):
        ran(asked(model, tmp_path, "simba"), tmp_path)
    assert len(model.web.seen) == 1


def test_what_a_run_leaves_is_for_its_owner_only(model: Taught, tmp_path: Path) -> None:
    report = ran(asked(model, tmp_path, "feedback-poisoning", keep=True), tmp_path)
    assert report.folder.stat().st_mode & 0o077 == 0
    for name in ("emulation.json", "journal.jsonl", "state.json", "lock"):
        assert (report.folder / name).stat().st_mode & 0o077 == 0, name


def test_kept_is_what_the_attack_left_and_clean_up_takes_it_back_twice(model: Taught, tmp_path: Path) -> None:
    report = ran(asked(model, tmp_path, "feedback-poisoning", keep=True), tmp_path)
    assert [way.variant for way in report.procedures[0].ways] == ["plain", "random-control"]
    assert {label for lesson in model.lessons for label in lesson} == {0}, "lies, and none of the control's"
    assert not report.cleaned
    home = Home(tmp_path / "home")
    assert find(home, report.name).pending == len(model.lessons)
    for _ in range(2):
        assert clean_up(find(home, report.name), LIBRARY).done
        assert (model.lessons, state(tmp_path)) == ([], ("clean", 0))


def test_what_a_procedure_left_is_there_for_the_next(model: Taught, tmp_path: Path) -> None:
    seen: list[int] = []
    stages = Stages(LIBRARY.procedure("public-mistakes").name, lambda: seen.append(len(model.lessons)))
    report = ran(asked(model, tmp_path, "feedback-poisoning", "public-mistakes"), tmp_path, stages)
    assert seen[0] > 0
    assert (report.cleaned, model.lessons) == (True, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a defect of an attack"), OSError(28, "No space")])
def test_however_it_ends_what_was_changed_is_taken_back(model: Taught, tmp_path: Path, error: BaseException) -> None:
    def stop() -> None:
        assert model.lessons
        raise error

    request = asked(model, tmp_path, "feedback-poisoning", "survey-answers")
    stages = Stages(LIBRARY.procedure("survey-answers").name, stop)
    with pytest.raises(StoreError if isinstance(error, OSError) else type(error)):
        ran(request, tmp_path, stages)
    assert (model.lessons, state(tmp_path)) == ([], ("clean", 0))


def test_a_target_that_refuses_to_forget_is_cleaned_up_later_even_after_the_scope_has_ended(
    model: Taught, tmp_path: Path
) -> None:
    model.stubborn = True
    with pytest.raises(RunError, match=r"HTTP 403.*threatmatrix emulate clean-up feedback-poisoning-1"):
        ran(asked(model, tmp_path, "feedback-poisoning"), tmp_path)
    home = Home(tmp_path / "home")
    again = clean_up(find(home, "feedback-poisoning-1"), LIBRARY)
    assert (again.done, state(tmp_path)[0]) == (False, "cleaning")
    assert "HTTP 403" in again.failed[0]
    model.stubborn = False
    sign(tmp_path, expires="2020-01-01", models="other")
    assert "not in scope" in clean_up(find(home, "feedback-poisoning-1"), LIBRARY).failed[0]
    sign(tmp_path, expires="2020-01-01")
    assert clean_up(find(home, "feedback-poisoning-1"), LIBRARY).done
    assert (model.lessons, state(tmp_path)) == ([], ("clean", 0))
