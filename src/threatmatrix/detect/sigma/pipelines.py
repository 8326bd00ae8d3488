"""A site's field mapping: Sigma processing pipelines as YAML, read with the guards of rule files.

Only the transformations of ``transformations`` and the conditions of ``pipeline_conditions`` are taken. pySigma's own
reader also runs templates, reads files, fetches addresses and starts commands, and is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.drafts import Draft, Gate, Transformation, Vars
from threatmatrix.detect.sigma.pipeline_conditions import field_test, item_test, rule_test
from threatmatrix.detect.sigma.settings import Settings
from threatmatrix.detect.sigma.transformations import TRANSFORMATIONS
from threatmatrix.model.matrix import RuleSource

__all__ = ["NONE", "Pipelines", "Step", "read_pipelines"]

MAX_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One transformation, and the rules, items and fields that it concerns."""

    name: str
    concerns: Callable[[Draft], bool]
    gate: Gate
    transformation: Transformation

    def __call__(self, draft: Draft) -> Draft:
        if not self.concerns(draft):
            return draft
        result = self.transformation(draft, self.gate)
        return replace(result, applied=result.applied | {self.name}) if self.name else result


@dataclass(frozen=True, slots=True)
class Pipelines:
    """All steps of all pipelines, in the order in which they are taken."""

    steps: tuple[Step, ...] = ()

    def apply(self, draft: Draft) -> Draft:
        """The rule as our telemetry would say it. Raises RuleError where a step refuses it."""
        for step in self.steps:
            draft = step(draft)
        return draft


NONE = Pipelines()


def read_pipelines(sources: Sequence[RuleSource]) -> Pipelines:
    """Read pipelines; they run by ``priority``, those of equal priority in the order of ``sources``.

    Raises RuleError, naming file, line and construct, for what is not on the allow-list.
    """
    read: list[tuple[float, Settings]] = []
    for source in sources:
        documents, refused = read_documents(source)
        for error in refused:
            raise error
        read += [_head(document) for document in documents]
    read.sort(key=lambda one: one[0])
    variables: Vars = {}
    for _, settings in read:
        variables = {**variables, **_vars(settings)}
    return Pipelines(tuple(step for _, settings in read for step in _steps(settings, variables)))


def _head(document: Document) -> tuple[float, Settings]:
    settings = Settings(document, document.raw, ())
    priority = settings.get("priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int | float):
        raise settings.refuse("is a number", "priority")
    settings.text("name", "")
    for key in ("vars", "transformations"):  # read later
        settings.get(key)
    settings.finish()
    return priority, settings


def _vars(settings: Settings) -> Vars:
    raw = settings.get("vars", {})
    if not isinstance(raw, dict):
        raise settings.refuse("is a mapping", "vars")
    result = {}
    for name, value in raw.items():
        values = value if isinstance(value, list) else [value]
        if not values or any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in values):
            raise settings.refuse("holds texts and numbers", "vars", name)
        result[name] = tuple(str(one) for one in values)
    return result


def _steps(settings: Settings, variables: Vars) -> list[Step]:
    entries = settings.entries("transformations")
    if not entries or len(entries) > MAX_STEPS:
        raise settings.refuse(f"a pipeline has 1 to {MAX_STEPS} transformations", "transformations")
    return [_step(entry, variables) for entry in entries]


def _step(entry: Settings, variables: Vars) -> Step:
    build = TRANSFORMATIONS[entry.choice("type", TRANSFORMATIONS)]
    gate = Gate(item_test(entry), field_test(entry))
    step = Step(entry.text("id", ""), rule_test(entry), gate, build(entry, variables))
    entry.finish()
    return step
