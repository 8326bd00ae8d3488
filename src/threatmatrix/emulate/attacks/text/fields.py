"""Header fields taken out and put in until a stand-in lets the request pass; then it is sent once.

Source: MITRE ATLAS AML.CS0000 (Palo Alto Networks, 2020): a stand-in from a published design and public traffic, known
malware's headers edited on it, the crafted requests sent past the real detector. Access: none for ``stand_in``
(requests with labels that anybody has, ``public_requests``; label 0 is malware), then file (the stand-in). Cost:
nothing is asked until one query for each request. Against the original, where people edited by hand and mostly took
fields out: the search is automatic, and it may put fields in as well (``add``), such as honest requests of the public
set have them.

A request keeps what the malware needs: its first line, ``Host``, ``User-Agent``, ``Content-…``, ``Cookie``. All other
fields are free.

``stand_in`` trains a logistic regression on character n-grams. Leaves ``stand_in``. Figures: ``stand_in_tpr`` at the
threshold that lets through all but one of 10,000 honest requests (``public_check``), ``stand_in_fpr`` there,
``stand_in_confidence`` (mean, on malware). With ``control`` it learns the labels in a random order.

``field_search`` ranks each removal, and each addition, by its mean effect on the stand-in, then goes down the list for
each request, removals first, and keeps what helps. Leaves ``crafted_requests`` (request → what became of it) and
``field_stock`` (all free lines of the public set). Figures: ``stand_in_passed``, ``stand_in_passed_by_removal``
(shares), ``fields_removed``, ``fields_added`` (means).

``field_edit`` sends. With ``control`` each request loses and gains as many free fields as it did, drawn at random, the
new ones from all requests that anybody has. Result of one request, e.g. ``SampleOutcome(index=2, claimed=True,
confirmed=True, queries=1, distance=231.0, refused=False, before=False)``. Figures: ``benign_confidence`` (mean of the
target's score of those that pass), ``benign_confidence_all`` (of all), both by fresh queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.text.sending import benign_score, send_crafted
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, Rows, texts
from threatmatrix.emulate.text_models import Grams, TextModel
from threatmatrix.emulate.text_training import fit_grams

__all__ = ["FieldEditParams", "FieldSearchParams", "StandInParams", "field_edit", "field_search", "stand_in"]

NEEDED = ("host", "user-agent", "cookie", "authorization", "content-")


@dataclass(frozen=True, slots=True)
class StandInParams:
    """What the stand-in is."""

    order: int = 3  # the longest n-grams; the others are one shorter
    epochs: int = 3
    alarms: float = 1e-4  # false positive rate at which it is measured


@dataclass(frozen=True, slots=True)
class FieldSearchParams:
    """How far a request may be changed."""

    edits: int = 10  # fields taken out or put in, at most
    margin: float = 8.0  # log odds for benign at which a request is good enough
    add: bool = True  # put fields in as well
    lines: int = 60  # of the commonest honest field lines, that are tried
    trial: int = 24  # requests on which an edit's worth is taken


@dataclass(frozen=True, slots=True)
class FieldEditParams:
    """Nothing to set: the requests were crafted before."""


def stand_in(stage: Stage) -> Brought:
    """Train the stand-in and measure it; see the module's docstring."""
    params = stage.settings(StandInParams)
    public, honest = stage.take("public_requests", Samples), stage.take("public_check", np.ndarray)
    order = stage.rng.permutation(len(public))
    learn, test = public.at(order[len(order) // 5 :]), public.at(order[: len(order) // 5])
    y = learn.y[stage.rng.permutation(len(learn))] if stage.control else learn.y
    features = Grams((params.order - 1, params.order), 2**15)
    model = fit_grams(features, learn.x, y, epochs=params.epochs, seed=int(stage.rng.integers(2**31)))
    alarms = np.sort(-_margin(model, honest))[::-1]
    threshold = alarms[min(len(alarms) - 1, int(params.alarms * len(alarms)))]
    malware = -_margin(model, test.x[test.y == 0])
    figures = {
        "stand_in_tpr": float(np.mean(malware > threshold)),
        "stand_in_fpr": float(np.mean(alarms > threshold)),
        "stand_in_confidence": float(np.mean(1.0 / (1.0 + np.exp(-malware)))),
    }
    return Brought(holds={"stand_in": model}, figures=figures)


def _margin(model: TextModel, rows: Rows | Sequence[str]) -> FloatArray:
    """Log odds for benign."""
    z = model.logits(rows)
    return np.asarray(z[:, 1] - z[:, 0])


def _name(line: str) -> str:
    return line.partition(":")[0].lower()


def _free(line: str) -> bool:
    return not _name(line).startswith(NEEDED)


def _without(request: str, name: str) -> str:
    """The request without its field of this name."""
    first, *lines = request.split("\n")
    return "\n".join([first, *(line for line in lines if _name(line) != name or not _free(line))])


def _with(request: str, line: str) -> str:
    """The request with one more field at its end, unless it has one of that name."""
    has = {_name(had) for had in request.split("\n")[1:]}
    return request if _name(line) in has else f"{request}\n{line}"


def _edited(request: str, edit: tuple[str, str]) -> str:
    """``("-", name)`` takes a field out, ``("+", line)`` puts one in."""
    return _without(request, edit[1]) if edit[0] == "-" else _with(request, edit[1])


def field_search(stage: Stage) -> Brought:
    """Edit every request on the stand-in; see the module's docstring."""
    params = stage.settings(FieldSearchParams)
    model, public = stage.take("stand_in", TextModel), stage.take("public_requests", Samples)
    own = [str(request) for request in stage.samples.x]
    removals = [
        ("-", name) for name in sorted({_name(line) for text in own for line in text.split("\n")[1:] if _free(line)})
    ]
    additions = [("+", line) for line in _common_lines(public.x[public.y == 1], params.lines)]
    ranked = _ranked(model, own[: params.trial], removals)  # first what can go, then what else is needed
    ranked += _ranked(model, own[: params.trial], additions) if params.add else []
    crafted = _craft(model, own, ranked, params)
    bare = _craft(model, own, [edit for edit in ranked if edit[0] == "-"], params)
    lost, gained = zip(*(_difference(a, b) for a, b in zip(own, crafted, strict=True)), strict=True)
    stock = sorted({line for text in public.x for line in str(text).split("\n")[1:] if _free(line)})
    figures = {
        "stand_in_passed": float(np.mean(_margin(model, crafted) > 0)),
        "stand_in_passed_by_removal": float(np.mean(_margin(model, bare) > 0)),
        "fields_removed": float(np.mean([len(part) for part in lost])),
        "fields_added": float(np.mean([len(part) for part in gained])),
    }
    return Brought(
        holds={"crafted_requests": dict(zip(own, crafted, strict=True)), "field_stock": tuple(stock)}, figures=figures
    )


def _common_lines(honest: Rows, n: int) -> list[str]:
    """The commonest free field lines of honest requests."""
    seen = Counter(line for text in honest for line in str(text).split("\n")[1:] if _free(line))
    return [line for line, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:n]]


def _ranked(model: TextModel, trial: list[str], edits: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edits by their mean effect on the stand-in, the best first; those that do harm are left out."""
    plain = _margin(model, trial)
    worth = np.zeros(len(edits))
    for i, edit in enumerate(edits):
        changed = [_edited(request, edit) for request in trial]
        does = np.array([a != b for a, b in zip(trial, changed, strict=True)])
        if does.any():
            worth[i] = np.mean((_margin(model, changed) - plain)[does])
    return [edits[i] for i in np.argsort(-worth, kind="stable") if worth[i] > 0]


def _craft(model: TextModel, own: list[str], ranked: list[tuple[str, str]], params: FieldSearchParams) -> list[str]:
    """Down the list of edits, all requests at once; an edit stays in a request where it helps."""
    now, margin = list(own), _margin(model, own)
    left = np.full(len(own), params.edits)
    for edit in ranked:
        tried = [_edited(request, edit) for request in now]
        better = _margin(model, tried)
        for i in np.flatnonzero((better > margin) & (left > 0) & (margin < params.margin)):
            now[i], margin[i], left[i] = tried[i], better[i], left[i] - 1
    return now


def _difference(before: str, after: str) -> tuple[set[str], set[str]]:
    """Lines that went and lines that came."""
    a, b = set(before.split("\n")), set(after.split("\n"))
    return a - b, b - a


def field_edit(stage: Stage) -> Brought:
    """Send every crafted request once; see the module's docstring."""
    stage.settings(FieldEditParams)
    made = stage.take("crafted_requests", dict)
    units = [i for i, request in enumerate(stage.samples.x) if str(request) in made]
    crafted = {i: made[str(stage.samples.x[i])] for i in units}
    if stage.control:
        stock = stage.take("field_stock", tuple)
        crafted = {i: _random_edits(str(stage.samples.x[i]), text, stock, stage.rng) for i, text in crafted.items()}
    outcomes = send_crafted(stage, crafted, units)
    fresh = stage.judge.scores(texts(crafted[i] for i in units)) if units else None
    if fresh is None:
        return Brought(outcomes=outcomes)
    benign = benign_score(fresh, stage.samples.y[units])
    passed = np.array([outcome.confirmed for outcome in outcomes])
    return Brought(
        outcomes=outcomes,
        figures={
            "benign_confidence": float(benign[passed].mean()) if passed.any() else 0.0,
            "benign_confidence_all": float(benign.mean()),
        },
    )


def _random_edits(request: str, crafted: str, stock: Sequence[str], rng: np.random.Generator) -> str:
    """As many free fields out and in as the search changed."""
    lost, gained = _difference(request, crafted)
    free = [_name(line) for line in request.split("\n")[1:] if _free(line)]
    for name in rng.permutation(free)[: len(lost)].tolist():
        request = _without(request, str(name))
    for _ in gained:
        has = {_name(line) for line in request.split("\n")[1:]}
        if any(_name(line) not in has for line in stock):
            while _name(line := stock[int(rng.integers(len(stock)))]) in has:
                continue
            request = _with(request, line)
    return request
