"""What somebody asks for, checked and priced before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.artefact_contents import FURNISHINGS
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.targets import ModelForm, TargetSpec, TemplateSpec, form_of
from threatmatrix.knowledge import Library, load_scope
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.system import Scope
from threatmatrix.workflows.emulation.plan import EmulationPlan, make_plan
from threatmatrix.workflows.emulation.samples import load_input, load_samples, take

__all__ = ["Prepared", "Request", "prepare", "reference_params"]


_SERVICE, _LEAKED = "service", ("credentials",)
"""What an attacker holds of a store that is furnished so, once it is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for. ``keys``: names of environment variables that hold API keys."""

    procedures: tuple[str, ...]
    target: TargetSpec
    scope_file: Path | None  # None: only for a reference target, which then has a scope of its own
    samples_file: Path | None = None
    samples: int = 60
    inputs: tuple[str, ...] = ()  # NAME=VALUE: what procedures need to be held
    variants: tuple[str, ...] = ("plain",)
    seed: int = 1
    keys: tuple[str, ...] = ()
    account_header: str = ""  # "": the protocol's own
    classes: int | None = None
    class_names: tuple[str, ...] = ()  # for servers that answer in words
    reference: tuple[str, ...] = ()  # NAME=VALUE: parameters of a reference target
    furnishing: str = _SERVICE  # of the artefact store beside a reference target, where a procedure needs one
    template: TemplateSpec | None = None
    keep: bool = False  # leave the target as the attack left it


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with its samples and what it will cost at most."""

    request: Request
    plan: EmulationPlan
    samples: Samples = field(repr=False)
    form: ModelForm
    reference: Reference | None = field(repr=False)
    scope: Scope | None
    held: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @property
    def needs_store(self) -> bool:
        """Whether a procedure goes to an artefact store."""
        return any("store" in procedure.needs for procedure in self.plan.procedures)


def prepare(request: Request, library: Library, now: int) -> Prepared:
    """Load and check everything; nothing is sent. Raises UsageError and what it is a parent of."""
    scope = None
    if request.scope_file is not None:
        scope = load_scope(request.scope_file, now, techniques=library.techniques)
    elif request.target.kind != "reference":
        raise UsageError(
            "an emulation against a target of yours needs a scope that its owner signed",
            hint="Give --scope scope.yaml; `threatmatrix init` writes a commented example",
        )
    reference = _reference(request)
    if request.samples_file is not None:
        samples = load_samples(request.samples_file)
    elif reference is not None:
        samples = take(reference, len(reference.attacker))
    else:
        raise UsageError("what is attacked is not known", hint="Give --samples-file with the attacker's own inputs")
    if request.furnishing not in FURNISHINGS:
        raise UnknownNameError("furnishing of the artefact store", request.furnishing, FURNISHINGS)
    held = {**(reference.known if reference is not None else {}), **dict(map(load_input, request.inputs))}
    n = min(request.samples, len(samples))
    names = {*held, *(_LEAKED if request.furnishing == _SERVICE else ())}
    plan = make_plan(
        library,
        request.procedures,
        variants=request.variants,
        samples=n,
        there=len(samples),
        metadata=request.target.kind in ("oip", "tf"),
        held=names,
    )
    if scope is not None:
        plan.check(scope, request.target, now)
    form = form_of(reference) if reference is not None else _form(request, samples)
    missing = [name for name in request.keys if name not in os.environ]
    if missing:
        raise UsageError(f"the environment variable {missing[0]} is not set", hint="Put the API key into it")
    if reference is None and any("store" in procedure.needs for procedure in plan.procedures):
        raise UsageError("these procedures go to an artefact store", hint="Only reference:digits has one beside it")
    return Prepared(request, plan, samples, form, reference, scope, held)


def _reference(request: Request) -> Reference | None:
    """The reference target, where one is attacked. Raises UsageError for a parameter that it does not have."""
    if request.target.kind != "reference":
        if request.reference:
            raise UsageError("only a reference target has parameters", hint="Leave --reference out")
        return None
    return build_reference(request.target.model, request.seed, **reference_params(request.reference))


def reference_params(given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` each: whole numbers, numbers, true and false, words. Raises UsageError."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--reference {text}: is not NAME=VALUE", hint="For example forest=true")
        found[name] = {"true": True, "false": False}.get(value, value)
        for kind in (int, float):
            if isinstance(found[name], str):
                with suppress(ValueError):
                    found[name] = kind(value)
    return found


def _form(request: Request, samples: Samples) -> ModelForm:
    """What the samples say about the model: the length of a row, and at least so many classes."""
    if request.template is not None:
        return request.template.form
    shape = () if samples.x.dtype.kind == "O" else (int(samples.x.shape[1]),)
    classes = request.classes or max(int(samples.y.max()) + 1, len(request.class_names), 2)
    return ModelForm(input_shape=shape, classes=classes, class_names=request.class_names)
