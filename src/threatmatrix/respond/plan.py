"""A playbook rendered for an incident: concrete actions, and the hash that stands for them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from threatmatrix.model.errors import FormatError
from threatmatrix.model.response import Incident
from threatmatrix.respond.cacao import (
    EXTENSION_ID,
    ActionStep,
    EndStep,
    HttpCommand,
    IfStep,
    ManualCommand,
    Playbook,
    PolicyCommand,
)
from threatmatrix.respond.variables import Scope

__all__ = ["POLICY_KINDS", "PlannedAction", "identity", "plan_hash", "render"]

POLICY_KINDS: Mapping[str, str] = {
    "block-principal": "block",
    "set-query-budget": "query_budget",
    "set-input-noise": "input_noise",
    "round-scores": "round_scores",
    "top1": "top1",
}
"""Action → the kind of policy entry that it makes."""

_BOUNDS = {"queries": (1, 1e9), "window_seconds": (1, 1e9), "sigma": (0, 1e6), "decimals": (0, 15)}
_INTEGERS = frozenset({"queries", "decimals"})
_TTL = (1, 366 * 24 * 3600)
_DEFAULT_TIMEOUT_MS = 10_000
_SECRET = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_NOT_IDENTITY = frozenset({"reason", "extends", "incident"})


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One concrete action. ``params`` is plain JSON and holds no secret (only names of them)."""

    step_id: str
    n: int  # within the step, from 0
    action: str  # block-principal | set-query-budget | set-input-noise | round-scores | top1 | http-api | manual
    params: dict[str, Any]
    title: str  # for a person


def render(playbook: Playbook, incident: Incident, variables: Mapping[str, str] | None = None) -> list[PlannedAction]:
    """The actions in order. The same playbook, incident and variables give the same plan.

    Raises FormatError (file, key) for a value out of bounds and UnknownNameError for a variable that
    the playbook does not have.
    """
    scope = Scope(playbook, incident, variables or {})
    planned: list[PlannedAction] = []
    for step_id, step in _walk(playbook, playbook.workflow_start, scope):
        inner = scope.within(step.step_variables)
        rendered: list[tuple[str, dict[str, Any]]] = []
        for number, command in enumerate(step.commands):
            key = f"workflow.{step_id}.commands.{number}"
            if isinstance(command, PolicyCommand):
                rendered += _policy(command, step, incident, inner, key)
            elif isinstance(command, HttpCommand):
                rendered.append(("http-api", _http(playbook, step, command, inner)))
            elif isinstance(command, ManualCommand):
                rendered.append(("manual", {"instruction": inner.fill(command.command)}))
        title = step.name or step_id
        planned += [PlannedAction(step_id, n, action, params, title) for n, (action, params) in enumerate(rendered)]
    return planned


def plan_hash(planned: list[PlannedAction]) -> str:
    """SHA-256, hex, over the canonical JSON of the actions."""
    text = json.dumps([asdict(item) for item in planned], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def identity(action: str, params: Mapping[str, Any]) -> Hashable:
    """What makes two actions the same one: all but the wording of the reason and which entry is prolonged."""
    if action in POLICY_KINDS:  # a grown incident has a thousand of them
        limits = tuple(sorted(params["params"].items()))
        return action, params["principal"], params["model"], params["ttl_seconds"], limits
    return json.dumps([action, {k: v for k, v in params.items() if k not in _NOT_IDENTITY}], sort_keys=True)


def _walk(playbook: Playbook, first: str, scope: Scope) -> Iterator[tuple[str, ActionStep]]:
    """Action steps in the order in which they run; load_playbook made sure that this ends."""
    key: str | None = first
    while key is not None:
        step = playbook.workflow[key]
        if isinstance(step, ActionStep):
            yield key, step
        elif isinstance(step, IfStep):
            branch = step.on_true if scope.within(step.step_variables).holds(step.condition) else step.on_false
            if branch is not None:
                yield from _walk(playbook, branch, scope)
        elif isinstance(step, EndStep):
            return
        key = step.following


def _policy(
    command: PolicyCommand, step: ActionStep, incident: Incident, scope: Scope, key: str
) -> list[tuple[str, dict[str, Any]]]:
    limits: dict[str, float | int] = {}
    for name, value in command.params.items():
        number = scope.number(value, f"{key}.params.{name}", *_BOUNDS[name])
        limits[name] = int(number) if name in _INTEGERS else number
    base = {
        "kind": POLICY_KINDS[command.command],
        "model": incident.model if command.model == "incident" else None,
        "params": limits,
        "ttl_seconds": scope.number(command.ttl_seconds, f"{key}.ttl_seconds", *_TTL),
        "incident": incident.incident_id,
    }
    what = step.name or command.command
    if command.model == "incident" and incident.model is None:
        # Without a model an entry is for every model: nobody wrote that, so a person decides.
        instruction = (
            f"{what}: {incident.incident_id} names no single model, so {command.command} was put in force for none; "
            "choose the model, and enforce it there by hand"
        )
        return [("manual", {"instruction": instruction})]
    if command.for_each is None:
        return [(command.command, {**base, "principal": None, "reason": f"{what} ({incident.incident_id})"})]
    floor = scope.number(command.min_share, f"{key}.min_share", 0, 1)
    # A share alone would spare whoever spreads an attack over many accounts: each has little of it, but many probes.
    enough = scope.number(command.min_probes, f"{key}.min_probes", 0, 1_000_000) or math.inf
    never = {scope.fill(name) for name in command.never}
    return [
        (
            command.command,
            {
                **base,
                "principal": share.principal,
                "reason": f"{what}: {share.share:.0%} of the probes of {incident.incident_id}",
            },
        )
        for share in incident.principals
        if share.probes > 0
        and share.principal not in never
        and (share.share >= floor or (share.share > 0 and share.probes >= enough))
    ]


def _http(playbook: Playbook, step: ActionStep, command: HttpCommand, scope: Scope) -> dict[str, Any]:
    place = playbook.target_definitions[step.targets[0]] if step.targets else playbook.agent_definitions[step.agent]
    base = scope.fill(place.address["url"][0])
    if not base:
        raise FormatError(playbook.file, "the address is empty", key=f"workflow.{step.agent}.address.url")
    method, target, _version = command.command.split(" ")
    extension = step.step_extensions.get(EXTENSION_ID, {})
    params: dict[str, Any] = {
        "method": method,
        "url": _join(base, scope.fill(target, _quoted)),
        "headers": [[name, _header(value, scope)] for name, values in command.headers.items() for value in values],
        "timeout_seconds": (step.timeout or _DEFAULT_TIMEOUT_MS) / 1000,
        "idempotent": extension.get("idempotent", False),
    }
    if command.content is not None:
        params["content"] = _content(command.content, scope)
    if command.content_b64 is not None:
        params["content_b64"] = command.content_b64
    if "status" in extension:
        params["status_url"] = _join(base, scope.fill(str(extension["status"]).split(" ")[1], _quoted))
    return params


def _header(template: str, scope: Scope) -> str | list[str | dict[str, str]]:
    """A filled header; one that names secrets is a list of texts and of {"secret": name}.

    Split *before* variables are filled: a model that an attacker calls ``${THREATMATRIX_TOKEN}`` stays that text.
    """
    texts = _SECRET.split(template)
    if len(texts) == 1:
        return scope.fill(template)
    return [{"secret": part} if number % 2 else scope.fill(part) for number, part in enumerate(texts)]


def _join(base: str, target: str) -> str:
    """The request target below the address; "/" means the address as it stands."""
    return base if target == "/" else base.rstrip("/") + target


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "replace"), safe="")


def _content(content: str, scope: Scope) -> str:
    """A body that is JSON is filled inside its texts, so that no value can break out of them."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return scope.fill(content)
    return json.dumps(scope.fill_all(parsed), sort_keys=True)
