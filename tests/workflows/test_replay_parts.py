"""What a replay's figures mean: whose finding it is, when a figure is reached, what counts as mitigated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from threatmatrix.model.detection import Finding, Severity
from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.model.procedure import ReplaySpec
from threatmatrix.remediate.compare import compare, wilson
from threatmatrix.workflows.replay.accounts import Accounts
from threatmatrix.workflows.replay.chain.lab import ChainLab, settings_of
from threatmatrix.workflows.replay.chain.sight import look
from threatmatrix.workflows.replay.row import CaseRow, Compared

ACCOUNTS = Accounts.of(1)


class Lab:
    """The one thing that looking needs of a lab."""

    accounts = ACCOUNTS


LAB = cast("ChainLab", Lab())


def event(number: int, *, attacker: bool) -> Event:
    agent = f"curl/8 threatmatrix/1 emulation/{ACCOUNTS.correlation()}" if attacker else "Shop/2.1"
    return Event(
        event_id=f"e{number}", time=number, source="gateway", category="inference", user_agent=agent,
        principal="mallory" if attacker else "honest-01",
    )  # fmt: skip


def finding(detector: str, alarm: int, severity: Severity = Severity.medium) -> Finding:
    return Finding(
        finding_id=f"{detector}-{alarm}", detector=detector, title=detector, technique="online-evasion",
        severity=severity, confidence=1.0, explanation="", event_ids=(f"e{alarm}",), event_count=1, first_time=alarm,
        last_time=alarm, alarm_event=f"e{alarm}",
    )  # fmt: skip


EVENTS = [event(n, attacker=n % 2 == 0) for n in range(1, 21)]  # the attacker's are 2, 4, … 20


def test_a_detector_is_told_with_the_attackers_rows_by_then() -> None:
    seen = look(LAB, EVENTS, [finding("burst", 12), finding("burst", 8), finding("walk", 20)])
    assert [(each.title, each.after, each.at) for each in seen.detected] == [("burst", 4, 8), ("walk", 10, 20)]
    assert (seen.honest_events, seen.honest) == (10, 0)


def test_a_detector_that_fires_on_honest_users_tells_nobody_apart() -> None:
    seen = look(LAB, EVENTS, [finding("burst", 8), finding("burst", 3), finding("walk", 4)])
    assert [each.title for each in seen.detected] == ["walk"]
    assert [each.title for each in seen.ambiguous] == ["burst"]
    assert seen.honest == 1


def test_what_is_only_information_is_no_detection() -> None:
    seen = look(LAB, EVENTS, [finding("login", 2, Severity.informational), finding("login", 3, Severity.informational)])
    assert seen.detected == seen.ambiguous == ()
    assert seen.honest == 0


@pytest.mark.parametrize(
    ("ours", "reach", "reached"),
    [(0.9, "at-least", True), (0.8, "at-least", True), (0.7, "at-least", False), (0.8, "at-most", True),
     (0.9, "at-most", False), (None, "at-least", False), (None, "at-most", False)],
)  # fmt: skip
def test_a_figure_is_reached_or_not(ours: float | None, reach: Any, reached: bool) -> None:
    assert Compared("share", ours, 0.8, reach, "", "").reached is reached


def row(attacked: int, after: int, adaptive: int | None, control: int = 3, n: int = 60) -> CaseRow:
    first, second = wilson(attacked, n), wilson(control, n)
    return CaseRow(
        case="c", name="C", target="t", seed=1, samples=n, judged="p", effect="", before=wilson(0, n), control=second,
        attacked=first, attacked_vs_control=compare("", first, second), queries=1, detected=(), ambiguous=(),
        honest_findings=0, honest_events=1, responded=0, blocked=(), honest_blocked=(),
        honest_requests=9, honest_refused=0, after=wilson(after, n),
        adaptive=None if adaptive is None else wilson(adaptive, n), adaptive_variant="", steps=(),
    )  # fmt: skip


def test_an_attack_passes_beyond_chance_only() -> None:
    assert row(50, 0, 0).passed
    assert not row(5, 0, 0).passed
    assert not replace(row(50, 0, 0), attacked_vs_control=compare("", wilson(3, 3), wilson(1, 3))).passed


@pytest.mark.parametrize(
    ("after", "adaptive", "mitigated"),
    [(2, 3, True), (2, None, True), (2, 50, False), (50, 3, False), (54, 54, False), (40, 40, True)],
)
def test_mitigated_is_for_the_adaptive_attacker_as_well(after: int, adaptive: int | None, mitigated: bool) -> None:
    assert row(55, after, adaptive).mitigated is mitigated


def test_parameters_are_those_that_exist() -> None:
    spec = ReplaySpec(
        target="mail", samples=60, params={"honest_clients": 3, "reference_samples": 7}, small={"honest_clients": 1}
    )
    full, small = settings_of(spec, small=False), settings_of(spec, small=True)
    assert (full["honest_clients"], small["honest_clients"], small["reference_samples"]) == (3, 1, 7)
    with pytest.raises(FormatError, match="honest_client: no such parameter"):
        settings_of(replace(spec, params={"honest_client": 3}), small=False)


def test_accounts_are_the_same_for_the_same_seed_and_never_shown() -> None:
    again, other = Accounts.of(1), Accounts.of(2)
    assert ACCOUNTS.key("mallory") == again.key("mallory") != other.key("mallory")
    assert ACCOUNTS.correlation() == again.correlation() != ACCOUNTS.correlation("auditor")
    assert set(ACCOUNTS.directory(["mallory"]).values()) == {"mallory"}
    assert ACCOUNTS.secret.hex() not in repr(ACCOUNTS)
