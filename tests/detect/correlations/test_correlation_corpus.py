"""The conformance corpus: our SQL in two databases, the oracle and pysigma-backend-sqlite, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from sigma.exceptions import SigmaError
from tests.detect.correlations import correlation_oracle as oracle
from tests.detect.correlations.correlation_corpus import SECOND, Entry, Fires, entries, run, run_sqlite
from tests.detect.correlations.correlation_oracle import Occurrence
from tests.detect.correlations.correlation_tables import DIALECTS, Tables

from threatmatrix.detect.sigma.rules import Correlation

ENTRIES = entries()


def in_seconds(rule: Correlation) -> Correlation:
    return dataclasses.replace(rule, timespan=rule.timespan // SECOND)


@pytest.fixture(scope="module")
def shaped() -> Iterator[Callable[[Correlation], Tables]]:
    """One table for each shape of correlation."""
    held: dict[tuple[int, int, str], Tables] = {}
    with ExitStack() as stack:

        def of(rule: Correlation) -> Tables:
            shape = (len(rule.group_by), len(rule.field), "VARCHAR" if rule.kind == "value_count" else "BIGINT")
            if shape not in held:
                made = Tables(groups=shape[0], values=shape[1], value=shape[2])
                held[shape] = stack.enter_context(closing(made))
            return held[shape]

        yield of


def by_sql(entry: Entry, dialect: str, shaped: Callable[[Correlation], Tables]) -> Fires:
    def ask(name: str) -> Any:
        def judge(rule: Correlation, made: list[Occurrence], until: int) -> list[Any]:
            held = shaped(rule)
            held.fill(made)
            found: list[Any] = getattr(held, name)(in_seconds(rule), dialect, until)
            return found

        return judge

    return run(entry, ask("firings"), ask("episodes"))


def by_oracle(entry: Entry) -> Fires:
    return run(
        entry,
        lambda rule, made, until: oracle.firings(in_seconds(rule), made, until),
        lambda rule, made, until: oracle.episodes(in_seconds(rule), made, until),
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title)
def test_an_entry_fires_when_it_says(entry: Entry, shaped: Callable[[Correlation], Tables]) -> None:
    assert by_oracle(entry) == entry.fires
    for dialect in DIALECTS:
        assert by_sql(entry, dialect, shaped) == entry.fires, dialect


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title)
def test_pysigma_backend_sqlite_says_the_same_or_the_entry_says_why_not(entry: Entry) -> None:
    try:
        found: Fires | None = run_sqlite(entry)
    except SigmaError:
        found = None
    assert (found != entry.fires) == bool(entry.differs), found
