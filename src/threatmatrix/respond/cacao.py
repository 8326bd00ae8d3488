"""OASIS CACAO 2.0 playbooks: the part that we run, as a Pydantic model; the rest is refused by name.

The specification's JSON schemas accept a dangling step, an unknown command and an http-api command
without a command line, so a playbook is also checked as a graph (:mod:`threatmatrix.respond.graph`).
Source: CACAO Security Playbooks 2.0, OASIS Committee Specification 01 (2023), sections 3 to 7 and 10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from threatmatrix.model.errors import FormatError, InputError

__all__ = [
    "COMMANDS",
    "EXTENSION_ID",
    "STEPS",
    "ActionStep",
    "EndStep",
    "HttpCommand",
    "IfStep",
    "ManualCommand",
    "Playbook",
    "PolicyCommand",
    "StartStep",
    "Step",
    "Variable",
    "load_playbook",
]

EXTENSION_ID = "extension-definition--6f4a3f0e-7c55-4a3c-9d55-2f0f6f6f1b7e"
"""Our step extension: ``idempotent`` (bool) and ``status`` (a GET start line) of an http-api step."""

STEPS = ("start", "end", "action", "if-condition")
COMMANDS = ("http-api", "manual", "x-threatmatrix-policy")

_OTHER_STEPS = ("parallel", "playbook-action", "switch-condition", "while-condition")
_MAX_BYTES = 1 << 20
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_TIMESTAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}Z$"

Identifier = Annotated[str, Field(pattern=rf"^[a-z][a-z0-9-]+--{_UUID}$")]
VariableName = Annotated[str, Field(pattern=r"^__[a-zA-Z_][a-zA-Z0-9_-]{0,199}__$")]
Value = str | int | float
"""A number, or text in which ``__name__:value`` stands for a variable."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Variable(_Part):
    """Section 10.18. ``value`` None: unknown; ``external``: the caller may set it."""

    type: str
    description: str = ""
    value: str | None = None
    constant: bool = False
    external: bool = False


class _Command(_Part):
    description: str = ""
    version: str = ""
    playbook_activity: str = ""
    external_references: tuple[dict[str, Any], ...] = ()


class PolicyCommand(_Command):
    """Our own command: put an entry into the gateways' policy, with an end.

    ``for_each`` "principals": one entry per principal of the incident whose share of the probes is
    at least ``min_share``, or who sent at least ``min_probes`` of them (0: no such floor), and whose name
    is not in ``never``; absent: one entry for everybody.
    ``model`` "incident": the incident's model only; "any": every model.
    """

    type: Literal["x-threatmatrix-policy"]
    command: Literal["block-principal", "set-query-budget", "set-input-noise", "round-scores", "top1"]
    ttl_seconds: Value
    for_each: Literal["principals"] | None = None
    min_share: Value = 0
    min_probes: Value = 0
    never: tuple[str, ...] = ()
    model: Literal["incident", "any"] = "incident"
    params: dict[str, Value] = {}


class HttpCommand(_Command):
    """Section 5.9: an HTTP start line, sent to the step's first target (or its agent)."""

    type: Literal["http-api"]
    command: str = Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE) /\S* HTTP/1\.[01]$")
    headers: dict[str, tuple[str, ...]] = {}
    content: str | None = None
    content_b64: str | None = None


class ManualCommand(_Command):
    """Section 5.12: what a person must do."""

    type: Literal["manual"]
    command: str = Field(min_length=1)


Command = Annotated[PolicyCommand | HttpCommand | ManualCommand, Field(discriminator="type")]


class _Step(_Part):
    name: str = ""
    description: str = ""
    external_references: tuple[dict[str, Any], ...] = ()
    timeout: int | None = Field(default=None, gt=0)  # ms
    step_variables: dict[VariableName, Variable] = {}
    owner: Identifier | None = None
    on_completion: Identifier | None = None
    on_success: Identifier | None = None
    step_extensions: dict[Identifier, dict[str, Any]] = {}

    @property
    def following(self) -> str | None:
        """The step that comes next; a failed action does not stop the others."""
        return self.on_completion or self.on_success


class StartStep(_Step):
    """Section 4.3: where a workflow begins."""

    type: Literal["start"]


class EndStep(_Step):
    """Section 4.4: where a workflow, or a branch of it, ends."""

    type: Literal["end"]


class ActionStep(_Step):
    """Section 4.5: commands, carried out in order."""

    type: Literal["action"]
    commands: tuple[Command, ...] = Field(min_length=1)
    agent: Identifier
    targets: tuple[Identifier, ...] = ()
    in_args: tuple[str, ...] = ()


class IfStep(_Step):
    """Section 4.10. A branch runs to an end step of its own, then ``on_completion`` follows."""

    type: Literal["if-condition"]
    condition: str
    on_true: Identifier
    on_false: Identifier | None = None


Step = Annotated[StartStep | EndStep | ActionStep | IfStep, Field(discriminator="type")]


class AgentTarget(BaseModel):
    """Section 7. ``address`` and ``port`` are read for http-api; other kinds are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    name: str
    description: str = ""
    address: dict[str, tuple[str, ...]] = {}


class Playbook(_Part):
    """Section 3.1. ``file`` is where it was read from, for error messages."""

    type: Literal["playbook"]
    spec_version: Literal["cacao-2.0"]
    id: Identifier
    name: str = Field(min_length=1)
    description: str = ""
    playbook_types: tuple[str, ...] = ()
    playbook_activities: tuple[str, ...] = ()
    playbook_processing_summary: dict[str, bool] = {}
    created_by: Identifier
    created: str = Field(pattern=_TIMESTAMP)
    modified: str = Field(pattern=_TIMESTAMP)
    revoked: Literal[False] = False
    derived_from: tuple[Identifier, ...] = ()
    related_to: tuple[Identifier, ...] = ()
    priority: int = Field(default=0, ge=0, le=100)
    severity: int = Field(default=0, ge=0, le=100)
    impact: int = Field(default=0, ge=0, le=100)
    industry_sectors: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    external_references: tuple[dict[str, Any], ...] = ()
    markings: tuple[Identifier, ...] = ()
    data_marking_definitions: dict[Identifier, dict[str, Any]] = {}
    playbook_variables: dict[VariableName, Variable] = {}
    workflow_start: Identifier
    workflow: dict[Identifier, Step]
    agent_definitions: dict[Identifier, AgentTarget] = {}
    target_definitions: dict[Identifier, AgentTarget] = {}
    extension_definitions: dict[Identifier, dict[str, Any]] = {}
    file: str = Field(default="", exclude=True)


def load_playbook(path: str | Path) -> Playbook:
    """Read, validate and check a playbook.

    Raises InputError for a file that cannot be read, and FormatError, naming the file and the key,
    for one that is no CACAO 2.0 playbook, whose graph does not close, or that asks for a kind of
    step or command that is not run here.
    """
    from threatmatrix.respond.graph import check

    raw = _read(Path(path))
    _refuse_unsupported(path, raw)
    try:
        playbook = Playbook.model_validate_json(json.dumps({**raw, "file": str(path)}), strict=True)
    except ValidationError as error:
        raise _format_error(path, error) from error
    check(playbook)
    return playbook


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", hint="Give the path of a playbook.json") from error
    if len(data) > _MAX_BYTES:
        raise FormatError(path, f"a playbook of {len(data)} bytes; at most {_MAX_BYTES} are read")
    try:
        raw = json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError as error:
        raise FormatError(path, "nested too deeply") from error
    except ValueError as error:
        raise FormatError(path, f"not JSON: {error}", line=getattr(error, "lineno", None)) from error
    if not isinstance(raw, dict):
        raise FormatError(path, "a playbook is a JSON object")
    return raw


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_unsupported(path: str | Path, raw: dict[str, Any]) -> None:
    """Valid CACAO that we do not run: say so by name, rather than as a schema error."""
    if raw.get("workflow_exception"):
        raise FormatError(path, "an exception handler is not run here; leave it out", key="workflow_exception")
    for key, step in _objects(raw.get("workflow")):
        where, kind = f"workflow.{key}", step.get("type")
        if kind in _OTHER_STEPS:
            raise FormatError(path, f"a {kind} step is not run here", key=f"{where}.type", choices=STEPS)
        for name in ("on_failure", "delay", "out_args"):
            if step.get(name):
                hint = "A failed action does not stop the others, and the run ends as failed; leave it out"
                raise FormatError(path, "is not supported", key=f"{where}.{name}", hint=hint)
        commands = step.get("commands")
        for number, command in enumerate(commands if isinstance(commands, list) else []):
            kind = command.get("type") if isinstance(command, dict) else None
            if isinstance(kind, str) and kind not in COMMANDS:
                key_of = f"{where}.commands.{number}.type"
                raise FormatError(path, f"a {kind!r} command is not run here", key=key_of, choices=COMMANDS)


def _objects(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield from ((key, item) for key, item in value.items() if isinstance(item, dict))


def _format_error(path: str | Path, error: ValidationError) -> FormatError:
    problems = error.errors(include_url=False)
    first = problems[0]
    tags = (*STEPS, *COMMANDS)
    key = ".".join(str(part) for part in first["loc"] if part not in tags)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    choices = str(first.get("ctx", {}).get("expected_tags", "")).replace("'", "").split(", ")
    return FormatError(path, first["msg"] + more, key=key, choices=[c for c in choices if c])
