"""Runs the tests that rules carry (``sigma.selftest``): every rule of the set over each test's events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.sigma.selftest import RuleTest
from threatmatrix.model.event import CATEGORIES, Event

__all__ = ["TestResult", "Tests", "run_tests"]

_SECOND = 1_000_000
_PORTION = 20_000  # events


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of one rule; ``key`` is its key in the rule set."""

    __test__ = False  # not a class of tests, whatever pytest thinks of its name

    key: str
    tests: tuple[RuleTest, ...]


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of one test."""

    __test__ = False

    rule: str  # key
    name: str
    expected: bool
    fired: bool
    problem: str = ""  # what went wrong, in words; empty where the test passed
    line: int | None = None

    @property
    def passed(self) -> bool:
        return not self.problem


def run_tests(
    ruleset: RuleSet, suites: Iterable[Tests], *, on_progress: Callable[[int], None] | None = None
) -> list[TestResult]:
    """One result for each test, in their order.

    The rules run in one streaming engine, which forgets everything between two tests. None is silent here: a rule that
    only a correlation uses is tested like any other. The conditions of all rules are compared with the events of many
    tests at once; then each test runs the rule and what it is made of, for the others cannot change what it finds. The
    cost is that of the events, about a millisecond for each test, and building the engine once.
    """
    loud = replace(
        ruleset,
        rules=tuple(replace(rule, silent=False) for rule in ruleset.rules),
        correlations=tuple(replace(rule, silent=False) for rule in ruleset.correlations),
    )
    known: dict[str, EventRule | Correlation] = {rule.meta.key: rule for rule in loud.rules}
    known |= {rule.meta.key: rule for rule in loud.correlations}
    results: list[TestResult] = []
    engine = _Engine(loud)
    with engine:
        for portion in _portions(suites, known):
            engine.look_ahead([event for _, _, events in portion for event in events])
            for key, test, events in portion:
                below = {rule.meta.key for rule in _below(key, known)}
                results.append(_judged(key, test, engine.run(key, below, events)) if below else _not_run(key, test))
                if on_progress:
                    on_progress(len(results))
    return results


class _Engine(RuleEngine):
    """The streaming engine, which compares the events of many tests at once and then runs them one by one."""

    def __init__(self, ruleset: RuleSet) -> None:
        super().__init__(ruleset)
        self._compared = _Compared(self._scanner)
        self._scanner = self._compared
        self._all = self._matches, self._episodes
        self._blank = self.snapshot()["rules"]

    def look_ahead(self, events: Sequence[Event]) -> None:
        """The events that the next runs will have, in their order."""
        self._compared.look_ahead(events)

    def run(self, key: str, below: Collection[str], events: Sequence[Event]) -> bool:
        """Whether the rule ``key`` makes a finding of the next events, as if nothing had been before them.

        ``below``: its key, and those of the rules that it is made of.
        """
        matches, episodes = self._all
        self._matches = [(name, part) for name, part in matches if name == key]
        self._episodes = [(keys, part) for keys, part in episodes if part.key in below]
        found = {finding.detector.removeprefix("rule:") for finding in (*self.feed(events), *self.finish())}
        for part in self._parts():
            part.restore(self._blank[part.identity])
        return key in found


class _Compared(Scanner):
    """What a scanner found in many events, handed out as they come."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._matched: dict[str, NDArray[np.int64]] = {}
        self._at = 0

    def look_ahead(self, events: Sequence[Event]) -> None:
        self._matched, self._at = self._scanner.match(events), 0

    def match(self, events: Sequence[Event]) -> dict[str, NDArray[np.int64]]:
        if not events:  # no event is ever revised here
            return {}
        start, self._at = self._at, self._at + len(events)
        found = {}
        for key, positions in self._matched.items():
            low, high = np.searchsorted(positions, (start, self._at))
            if low < high:
                found[key] = positions[low:high] - start
        return found


Planned = tuple[str, RuleTest, list[Event]]


def _portions(suites: Iterable[Tests], known: dict[str, EventRule | Correlation]) -> Iterator[list[Planned]]:
    """Tests with their events, some ten thousand events at a time."""
    portion: list[Planned] = []
    size = 0
    for suite in suites:
        for test in suite.tests:
            events = _with_end(test.events, suite.key, known) if suite.key in known else []
            portion.append((suite.key, test, events))
            size += len(events)
            if size >= _PORTION:
                yield portion
                portion, size = [], 0
    yield portion


def _judged(key: str, test: RuleTest, fired: bool) -> TestResult:
    problem = "" if fired == test.fires else "fires, and must not" if fired else "does not fire"
    return TestResult(key, test.name, test.fires, fired, problem, test.line)


def _not_run(key: str, test: RuleTest) -> TestResult:
    return TestResult(key, test.name, test.fires, False, "not run: the rule was refused", test.line)


def _with_end(events: list[Event], key: str, known: dict[str, EventRule | Correlation]) -> list[Event]:
    """The events and, where the rule waits for something that must not follow, one that says that time has passed."""
    below = _below(key, known)
    if not any(isinstance(rule, Correlation) and rule.waits for rule in below):
        return events
    spans = sum(rule.timespan for rule in below if isinstance(rule, Correlation))
    longest = max(rule.timespan for rule in known.values() if isinstance(rule, Correlation))
    used = {rule.category for rule in below if isinstance(rule, EventRule)}
    category = next((name for name in CATEGORIES if name not in used), CATEGORIES[0])
    last = events[-1].time + spans + longest + _SECOND
    return [*events, Event(event_id="test-end", time=last, source="test", category=category)]


def _below(key: str, known: dict[str, EventRule | Correlation]) -> list[EventRule | Correlation]:
    """The rule and everything that it is made of; nothing of a rule that was refused."""
    rule = known.get(key)
    if rule is None:
        return []
    if isinstance(rule, EventRule):
        return [rule]
    return [rule, *(each for name in rule.rules for each in _below(name, known))]
