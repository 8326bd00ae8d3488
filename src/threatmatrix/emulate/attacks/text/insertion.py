"""One generic string that is put into every generated domain name, chosen on a public detector.

Source: MITRE ATLAS AML.CS0001 (Palo Alto Networks, 2020): a public detector tells which botnet families are worth
evading, a generic mutation is developed on it, and one insertion brings every family below 25 % detection. Access: file
(``public_detector``, class 0 is generated). Cost: surveying and choosing ask nothing; then one query for each name.
Against the original, which does not tell the string or how it was found: the pieces come from names that people
registered (``popular_names``), several are joined up to ``length`` characters, and string and place are chosen together
for the family that is worst off.

``family_survey`` leaves ``recognised`` (names of the families that the detector recognises, of ``families``). Figures:
``recognised_families``, ``surveyed_families``. ``insertion_choice`` leaves ``insertion`` (an Insertion). Figures:
``tried_insertions``, ``insertion_length``, ``public_worst_detection`` (share of the worst family's names that the
public detector still knows). Names of other families are left alone by ``string_insert``: they are no units.

With ``control`` each name gets a string of random letters, as long as the chosen one and at the same place.

Result of one name, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=1, distance=34.0,
refused=False, before=False)``. Figures: ``mean_family_detection_before``, ``mean_family_detection``,
``worst_family_detection``, ``attacked_families``, ``families_under_quarter`` (below 25 %), and for each family by its
name ``detection_after_kraken``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.text.sending import send_crafted
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import Rows
from threatmatrix.emulate.text_models import TextModel
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = [
    "FamilySurveyParams",
    "Insertion",
    "InsertionChoiceParams",
    "StringInsertParams",
    "family_survey",
    "insertion_choice",
    "string_insert",
]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PLACES = (0.0, 0.5, 1.0)  # before, within and behind the label
LABEL = 63  # characters of a label at most (RFC 1035)


@dataclass(frozen=True, slots=True)
class Insertion:
    """``text`` goes in after the share ``place`` of the first label."""

    text: str
    place: float

    def into(self, name: str) -> str:
        """The name with the string put in; the label stays within its 63 characters."""
        label, dot, rest = name.partition(".")
        at = round(self.place * len(label))
        text = self.text[: max(0, LABEL - len(label))]
        return f"{label[:at]}{text}{label[at:]}{dot}{rest}"


@dataclass(frozen=True, slots=True)
class FamilySurveyParams:
    """When a family counts as recognised."""

    least: float = 0.7


@dataclass(frozen=True, slots=True)
class InsertionChoiceParams:
    """How long the string may be and how long it is searched for."""

    length: int = 40
    pieces: int = 90  # first candidates at each of three places, and then for each one that is lengthened
    keep: int = 5  # so many are lengthened in each round
    rounds: int = 5
    names: int = 4  # of each family, on which a candidate is tried
    finals: int = 15  # the best candidates, of which the one is taken that hides most names of the worst family


@dataclass(frozen=True, slots=True)
class StringInsertParams:
    """Nothing to set: string and place were chosen before."""


def family_survey(stage: Stage) -> Brought:
    """Which families does the public detector recognise? See the module's docstring."""
    least = stage.settings(FamilySurveyParams).least
    detector, families = stage.take("public_detector", TextModel), stage.take("families", dict)
    found = tuple(name for name in sorted(families) if np.mean(detector.labels(families[name]) == 0) > least)
    if not found:
        raise UsageError(f"the public detector recognises none of {len(families)} families")
    figures = {"recognised_families": float(len(found)), "surveyed_families": float(len(families))}
    return Brought(holds={"recognised": found}, figures=figures)


def insertion_choice(stage: Stage) -> Brought:
    """Choose string and place on the public detector; see the module's docstring."""
    params = stage.settings(InsertionChoiceParams)
    search = _Search(
        stage.take("public_detector", TextModel),
        {name: stage.take("families", dict)[name] for name in stage.take("recognised", tuple)},
        params.names,
    )
    pieces = _pieces(stage.take("popular_names", np.ndarray), params.length)

    def draw() -> str:
        return pieces[int(stage.rng.integers(len(pieces)))]

    best = search.best([Insertion(draw(), place) for place in PLACES for _ in range(params.pieces)])
    for _ in range(params.rounds):
        kept = best[: params.keep]
        longer = {Insertion(one.text + draw(), one.place) for one in kept for _ in range(params.pieces)}
        fitting = [one for one in longer if len(one.text) <= params.length]
        best = search.best([*kept, *sorted(fitting, key=lambda one: (one.text, one.place))])
    chosen = min(best[: params.finals], key=search.worst)  # the first of equals
    figures = {
        "tried_insertions": float(search.tried),
        "insertion_length": float(len(chosen.text)),
        "public_worst_detection": search.worst(chosen),
    }
    return Brought(holds={"insertion": chosen}, figures=figures)


def _pieces(popular: Rows, length: int) -> list[str]:
    """Registered names that are letters only, hyphens taken out; raises UsageError where there is none."""
    labels = (str(name).partition(".")[0].replace("-", "") for name in popular)
    found = [label for label in labels if label.isalpha() and len(label) <= length]
    if not found:
        raise UsageError(f"no registered name of at most {length} letters is held", hint="Give more popular_names")
    return found


class _Search:
    """Tries insertions on names of every family, on the attacker's own machine."""

    def __init__(self, detector: TextModel, families: Mapping[str, Rows], names: int) -> None:
        self.detector = detector
        self.families = families
        self.names = names
        self.tried = 0

    def best(self, candidates: Sequence[Insertion]) -> list[Insertion]:
        """The candidates in order, by how much the family that is worst off still looks generated."""
        self.tried += len(candidates)
        sizes = [min(self.names, len(rows)) for rows in self.families.values()]
        names = [str(name) for rows in self.families.values() for name in rows[: self.names]]
        z = self.detector.logits([one.into(name) for one in candidates for name in names])
        margin = (z[:, 0] - z[:, 1]).reshape(len(candidates), len(names))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        worst = (np.add.reduceat(margin, starts, axis=1) / np.array(sizes)).max(axis=1)
        return [candidates[i] for i in np.argsort(worst, kind="stable")]

    def worst(self, one: Insertion) -> float:
        """The highest detection of a family after this insertion."""
        seen = (self.detector.labels([one.into(str(name)) for name in rows]) == 0 for rows in self.families.values())
        return max(float(np.mean(known)) for known in seen)


def string_insert(stage: Stage) -> Brought:
    """Put the string into every name of a recognised family and send it; see the module's docstring."""
    stage.settings(StringInsertParams)
    chosen, recognised = stage.take("insertion", Insertion), stage.take("recognised", tuple)
    family = stage.take("family_of", dict)
    units = [i for i, name in enumerate(stage.samples.x) if family.get(str(name)) in recognised]
    crafted = {}
    for index in units:
        one = Insertion(_random(len(chosen.text), stage.rng), chosen.place) if stage.control else chosen
        crafted[index] = one.into(str(stage.samples.x[index]))
    outcomes = send_crafted(stage, crafted, units)
    return Brought(outcomes=outcomes, figures=_by_family(outcomes, [family[str(stage.samples.x[i])] for i in units]))


def _random(length: int, rng: np.random.Generator) -> str:
    return "".join(LETTERS[int(i)] for i in rng.integers(len(LETTERS), size=length))


def _by_family(outcomes: Sequence[SampleOutcome], families: Sequence[str]) -> dict[str, float]:
    """Detection before and after, family by family."""
    before: dict[str, list[bool]] = {}
    after: dict[str, list[bool]] = {}
    for outcome, family in zip(outcomes, families, strict=True):
        before.setdefault(family, []).append(not outcome.before)
        after.setdefault(family, []).append(not outcome.confirmed)
    rates = {family: float(np.mean(seen)) for family, seen in after.items()}
    if not rates:
        return {}
    return {
        "mean_family_detection_before": float(np.mean([np.mean(seen) for seen in before.values()])),
        "mean_family_detection": float(np.mean(list(rates.values()))),
        "worst_family_detection": max(rates.values()),
        "attacked_families": float(len(rates)),
        "families_under_quarter": float(sum(rate < 0.25 for rate in rates.values())),
    } | {f"detection_after_{family}": rate for family, rate in sorted(rates.items())}
