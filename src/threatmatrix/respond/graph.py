"""A playbook as a graph: every reference resolves, every step is reached, every path ends."""

from __future__ import annotations

from collections.abc import Iterator

from threatmatrix.model.errors import FormatError
from threatmatrix.respond.cacao import EXTENSION_ID, ActionStep, EndStep, HttpCommand, IfStep, Playbook, StartStep, Step
from threatmatrix.respond.variables import BUILT_IN, KEY_VARIABLE, condition_parts, names_in

__all__ = ["check"]

_POLICY_PARAMS = {
    "block-principal": frozenset[str](),
    "set-query-budget": frozenset({"queries", "window_seconds"}),
    "set-input-noise": frozenset({"sigma"}),
    "round-scores": frozenset({"decimals"}),
    "top1": frozenset[str](),
}
_STATUS_KEYS = frozenset({"idempotent", "status"})


def check(playbook: Playbook) -> None:
    """Raise FormatError, naming file and key, for the first thing that does not close."""
    _steps_resolve(playbook)
    _everything_is_reached(playbook)
    for key, step in playbook.workflow.items():
        if isinstance(step, ActionStep):
            _agents_resolve(playbook, key, step)
            _commands_fit(playbook, key, step)
        _variables_resolve(playbook, key, step)


def _error(playbook: Playbook, key: str, problem: str, *, choices: tuple[str, ...] = (), hint: str = "") -> FormatError:
    return FormatError(playbook.file, problem, key=key, choices=choices, hint=hint)


def _edges(step: Step) -> Iterator[tuple[str, str]]:
    for name in ("on_completion", "on_success", "on_true", "on_false"):
        target = getattr(step, name, None)
        if target is not None:
            yield name, target


def _steps_resolve(playbook: Playbook) -> None:
    start = playbook.workflow.get(playbook.workflow_start)
    if not isinstance(start, StartStep):
        raise _error(playbook, "workflow_start", f"{playbook.workflow_start!r} is no start step of the workflow")
    for key, step in playbook.workflow.items():
        where = f"workflow.{key}"
        if not key.startswith(f"{step.type}--"):
            raise _error(playbook, where, f"the id of a step of type {step.type!r} begins with {step.type}--")
        for name, target in _edges(step):
            if target not in playbook.workflow:
                raise _error(playbook, f"{where}.{name}", f"there is no step {target!r}")
        if step.on_completion and step.on_success:
            raise _error(playbook, where, "on_completion and on_success exclude each other")
        if isinstance(step, EndStep):
            if list(_edges(step)):
                raise _error(playbook, where, "nothing follows an end step")
        elif not step.following and not (isinstance(step, IfStep) and step.on_false):
            raise _error(playbook, where, "leads nowhere", hint="Name an end step in on_completion")


def _everything_is_reached(playbook: Playbook) -> None:
    """Depth first from the start: a step met again on its own path is a cycle."""
    state: dict[str, str] = {}
    stack = [(playbook.workflow_start, False)]
    while stack:
        key, leaving = stack.pop()
        if leaving:
            state[key] = "done"
            continue
        if state.get(key) == "done":
            continue
        state[key] = "open"
        stack.append((key, True))
        for name, target in _edges(playbook.workflow[key]):
            if state.get(target) == "open":
                raise _error(playbook, f"workflow.{key}.{name}", f"leads back to {target!r}: the workflow never ends")
            if target not in state:
                stack.append((target, False))
    for key, step in playbook.workflow.items():
        if key not in state:
            raise _error(playbook, f"workflow.{key}", f"the {step.type} step is never reached from the start")
    if not any(isinstance(step, EndStep) for step in playbook.workflow.values()):
        raise _error(playbook, "workflow", "has no end step")


def _agents_resolve(playbook: Playbook, key: str, step: ActionStep) -> None:
    where = f"workflow.{key}"
    if step.agent not in playbook.agent_definitions:
        raise _error(playbook, f"{where}.agent", f"{step.agent!r} is not in agent_definitions")
    for number, target in enumerate(step.targets):
        if target not in playbook.target_definitions:
            raise _error(playbook, f"{where}.targets.{number}", f"{target!r} is not in target_definitions")
    for extension, content in step.step_extensions.items():
        if extension not in playbook.extension_definitions:
            raise _error(playbook, f"{where}.step_extensions", f"{extension!r} is not in extension_definitions")
        if extension == EXTENSION_ID:
            _extension_fits(playbook, f"{where}.step_extensions.{extension}", content)


def _extension_fits(playbook: Playbook, where: str, content: dict[str, object]) -> None:
    for name, value in content.items():
        if name not in _STATUS_KEYS:
            raise _error(playbook, f"{where}.{name}", "is not known", choices=tuple(sorted(_STATUS_KEYS)))
        if name == "idempotent" and not isinstance(value, bool):
            raise _error(playbook, f"{where}.{name}", "is true or false")
        if name == "status" and not (isinstance(value, str) and value.startswith("GET /")):
            raise _error(playbook, f"{where}.{name}", "is a request such as 'GET /calls/__idempotency_key__:value'")


def _commands_fit(playbook: Playbook, key: str, step: ActionStep) -> None:
    for number, command in enumerate(step.commands):
        where = f"workflow.{key}.commands.{number}"
        if isinstance(command, HttpCommand):
            place = [playbook.target_definitions[t] for t in step.targets] or [playbook.agent_definitions[step.agent]]
            if not place[0].address.get("url"):
                raise _error(playbook, where, "the step's first target (or its agent) has no address.url")
            if command.content is not None and command.content_b64 is not None:
                raise _error(playbook, where, "content and content_b64 exclude each other")
        elif command.type == "x-threatmatrix-policy":
            wanted = _POLICY_PARAMS[command.command]
            if set(command.params) != wanted:
                given = ", ".join(command.params) or "none"
                problem = f"{command.command} has other parameters than these: {given}"
                raise _error(playbook, f"{where}.params", problem, choices=tuple(sorted(wanted)))
            if command.command == "block-principal" and command.for_each != "principals":
                raise _error(playbook, f"{where}.for_each", "a block is for principals, never for everybody")


def _variables_resolve(playbook: Playbook, key: str, step: Step) -> None:
    known = {*playbook.playbook_variables, *BUILT_IN, *step.step_variables}
    content: object = step.model_dump(exclude={"description", "name"})
    if isinstance(step, ActionStep):
        agents = [playbook.agent_definitions[step.agent], *(playbook.target_definitions[t] for t in step.targets)]
        content = [content, *(agent.address for agent in agents)]
        if any(isinstance(command, HttpCommand) for command in step.commands):
            known.add(KEY_VARIABLE)
    for name in names_in(content):
        if name not in known:
            raise _error(
                playbook, f"workflow.{key}", f"the variable {name} is not declared", choices=tuple(sorted(known))
            )
    if isinstance(step, IfStep) and condition_parts(step.condition) is None:
        hint = "Write one comparison: __name__:value = 'text', or !=, <, <=, >, >= with a text or a number"
        raise _error(playbook, f"workflow.{key}.condition", f"{step.condition!r} is not supported", hint=hint)
