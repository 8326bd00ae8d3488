"""Web addresses, described by nine features (river's Phishing set) and judged by a model that learns from reports.

The set has 1,250 rows of values 0, ½ and 1, many of them several times; class 1 is phishing. They are dealt by lot into
disjoint parts, equal rows always into the same one, so that nothing that is held out was ever learnt from:

===========  ====  ==================================================================
part         size  used for
===========  ====  ==================================================================
product       500  what the model has learnt when it opens
calibration   150  the defender's reference traffic
honest        150  what honest users ask about, and report now and then
reports       150  what the attacker has seen of the world (``known["reports"]``)
held out      300  phishing rows among them: what the attacker wants to let pass
===========  ====  ==================================================================

The model is a logistic regression that learns by stochastic gradient descent while it serves: each report is one
step, and with it so many old reports are learnt again (experience replay), so that a day's reports do not wash out
what came before. Rate, replays and passes were chosen on seeds from 100 on, for few errors when it opens and little
harm by reports with labels by chance.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference, Visit
from threatmatrix.emulate.reference.callers import seeded_calls
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.model.errors import MissingExtraError

__all__ = ["FEATURES", "PHISHING", "ReportedModel", "build", "read_rows"]

FEATURES = 9
PHISHING = 1
SIZES = {"product": 500, "calibration": 150, "honest": 150, "reports": 150, "held_out": 300}
RATE = 0.02
REPLAYS = 8
PASSES = 12  # over what it has learnt when it opens
APPS = (
    "SafeSurf/4.1 (Windows 11)",
    "SafeSurf/4.1 (Android 15)",
    "SafeSurf/4.0 (macOS 15.1)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
)


@cache
def read_rows() -> Samples:
    """All 1,250 rows (n, 9) with their classes, from the file inside river; raises MissingExtraError."""
    package = find_spec("river")
    if package is None or package.origin is None:
        raise MissingExtraError("the phishing reference target", "emulate")
    with gzip.open(Path(package.origin).parent / "datasets" / "phishing.csv.gz", "rt", encoding="utf-8") as file:
        lines = list(csv.reader(file))[1:]
    table = np.asarray(lines, dtype=np.float64)
    return Samples(table[:, :FEATURES], table[:, FEATURES].astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Report:
    user: str
    row: FloatArray  # centred, with a 1 at its end
    label: int


class ReportedModel:
    """A logistic regression that learns from reports. What a user taught can be taken back exactly."""

    def __init__(self, product: Samples, seed: int) -> None:
        self._seed = seed
        self._product = [_Report("", *pair) for pair in zip(_centred(product.x), product.y.tolist(), strict=True)]
        self._opening = np.zeros(FEATURES + 1)
        for report in self._product * PASSES:
            self._step(self._opening, report)
        self._learn_again([])

    def _learn_again(self, reports: list[_Report]) -> None:
        self._reports: list[_Report] = []
        self._weights = self._opening.copy()
        for report in reports:
            self._learn(report)

    def _learn(self, report: _Report) -> None:
        """One step on the report and one on each of some older ones, drawn by its number."""
        self._reports.append(report)
        old = len(self._product) + len(self._reports)
        self._step(self._weights, report)
        for at in np.random.default_rng([self._seed, len(self._reports), 0xFEED]).integers(0, old, REPLAYS):
            first = len(self._product)
            self._step(self._weights, self._product[at] if at < first else self._reports[at - first])

    @staticmethod
    def _step(weights: FloatArray, report: _Report) -> None:
        wrong = 1.0 / (1.0 + np.exp(-(weights @ report.row))) - report.label
        weights -= RATE * wrong * report.row

    def answer(self, rows: Rows) -> ModelAnswer:
        """Class 1 where phishing is likelier than not."""
        if rows.ndim != 2 or rows.shape[1] != FEATURES:
            raise ValueError(f"a row has {FEATURES} numbers")
        likely = 1.0 / (1.0 + np.exp(-(_centred(rows) @ self._weights)))
        return ModelAnswer((likely > 0.5).astype(np.int64), np.column_stack([1.0 - likely, likely]))

    def teach(self, rows: Rows, labels: IntArray, user: str) -> None:
        """Learn from one report after the other."""
        if not np.all(np.isin(labels, (0, 1))):
            raise ValueError("a label is 0 (harmless) or 1 (phishing)")
        for row, label in zip(_centred(rows), labels.tolist(), strict=True):
            self._learn(_Report(user, row, label))

    def forget(self, user: str) -> int:
        """Learn all reports but this user's again, from the weights at the opening."""
        kept = [report for report in self._reports if report.user != user]
        gone = len(self._reports) - len(kept)
        if gone:
            self._learn_again(kept)
        return gone


def _centred(rows: Rows) -> FloatArray:
    return np.column_stack([2.0 * rows - 1.0, np.ones(len(rows))])


@dataclass(frozen=True, slots=True)
class _Users:
    """Honest users: they ask, and now and then they report what they found out."""

    stock: Samples
    reports: float  # share of the requests that are reports
    wrong: float  # share of the reports with the wrong label

    def __call__(self, *, clients: int, seed: int) -> Iterator[Visit]:
        rng = np.random.default_rng([seed, 0xFEED])
        for call in seeded_calls(clients, len(self.stock), APPS, seed=seed):
            found: IntArray | None = None
            if not call.caller.scripted and rng.random() < self.reports:
                truth = self.stock.y[call.index]
                found = np.where(rng.random(len(truth)) < self.wrong, 1 - truth, truth)
            yield Visit(
                at=call.at, account=call.caller.account, user_agent=call.caller.user_agent,
                address=call.caller.address, rows=self.stock.x[call.index], teaches=found,
            )  # fmt: skip


def _dealt(rows: Samples, rng: np.random.Generator) -> dict[str, IntArray]:
    """The indices of each part. Equal rows go together, the largest groups first, so that all sizes come out."""
    _, group = np.unique(rows.x, axis=0, return_inverse=True)
    groups = [np.flatnonzero(group == number) for number in rng.permutation(int(group.max()) + 1)]
    dealt: dict[str, list[int]] = {name: [] for name in SIZES}
    for own in sorted(groups, key=len, reverse=True):
        room = {name: SIZES[name] - len(had) for name, had in dealt.items() if SIZES[name] - len(had) >= len(own)}
        chances = np.array(list(room.values()), dtype=np.float64)
        dealt[list(room)[int(rng.choice(len(room), p=chances / chances.sum()))]] += own.tolist()
    return {name: rng.permutation(np.asarray(index, dtype=np.int64)) for name, index in dealt.items()}


def build(seed: int, *, reports: float = 0.06, wrong: float = 0.03) -> Reference:
    """Cut the set, train the model. ``reports``, ``wrong``: shares of honest requests and of their labels."""
    rows = read_rows()
    part = {name: rows.at(index) for name, index in _dealt(rows, np.random.default_rng([seed, 0xF151])).items()}
    held_out = part["held_out"]
    model = ReportedModel(part["product"], seed)
    return Reference(
        name="phishing",
        title="Web addresses: phishing or harmless, learnt from reports",
        modality="vector",
        classes=("harmless", "phishing"),
        width=FEATURES,
        model=model,
        calibration=part["calibration"].x,
        attacker=held_out.at(np.flatnonzero(held_out.y == PHISHING)),
        honest=_Users(part["honest"], reports, wrong),
        accuracy=float(np.mean(model.answer(held_out.x).labels == held_out.y)),
        known={
            "reports": part["reports"],
            "taught": len(part["product"]),  # the service boasts of it on its front page
            "corpus": part["product"],
            "retrain": lambda data: ReportedModel(data, seed),
        },
    )
