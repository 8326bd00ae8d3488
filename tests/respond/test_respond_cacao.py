"""Playbooks: the one that we ship, and everything that is refused, by file and key."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from tests.respond.examples import (
    AGENT,
    BLOCK,
    BUDGET,
    END,
    HOOK,
    START,
    action_id,
    http_command,
    incident,
    playbook,
    write,
)

from threatmatrix.model.errors import FormatError, InputError, UnknownNameError
from threatmatrix.respond.cacao import EXTENSION_ID, load_playbook
from threatmatrix.respond.plan import plan_hash, render

ONLINE_EVASION = Path(str(files("threatmatrix"))) / "library/techniques/online-evasion/playbook.json"
IF, END2 = START.replace("start", "if-condition"), END[:-1] + "9"
STEP = action_id(0)


def change(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    for part in path[:-1]:
        content = content[part]
    if value is None:
        del content[path[-1]]
    else:
        content[path[-1]] = value


IN_STEP = ("workflow", STEP)
IN_COMMAND = (*IN_STEP, "commands", 0)
BROKEN: list[tuple[tuple[Any, ...], Any, str, str]] = [
    (("workflow_start",), END, "workflow_start", "no start step"),
    ((*IN_STEP, "on_completion"), action_id(99), f"workflow.{STEP}.on_completion", "there is no step"),
    ((*IN_STEP, "on_completion"), START, f"workflow.{STEP}.on_completion", "never ends"),
    ((*IN_STEP, "on_completion"), None, f"workflow.{STEP}", "leads nowhere"),
    (("workflow", START, "on_completion"), END, f"workflow.{STEP}", "never reached"),
    ((*IN_STEP, "agent"), AGENT[:-1] + "f", f"workflow.{STEP}.agent", "not in agent_definitions"),
    ((*IN_STEP, "targets"), [HOOK[:-1] + "f"], f"workflow.{STEP}.targets.0", "not in target_definitions"),
    ((*IN_STEP, "step_extensions"), {EXTENSION_ID[:-1] + "0": {}}, "step_extensions", "not in extension_definitions"),
    ((*IN_STEP, "step_extensions"), {EXTENSION_ID: {"idempotnt": True}}, "idempotnt", "valid: idempotent, status"),
    ((*IN_STEP, "type"), "parallel", f"workflow.{STEP}.type", "a parallel step is not run here"),
    ((*IN_STEP, "on_failure"), END, f"workflow.{STEP}.on_failure", "is not supported"),
    ((*IN_STEP, "delay"), 5, f"workflow.{STEP}.delay", "is not supported"),
    (("workflow_exception",), END, "workflow_exception", "exception handler"),
    ((*IN_COMMAND, "type"), "bash", f"workflow.{STEP}.commands.0.type", "a 'bash' command is not run here"),
    ((*IN_COMMAND, "command"), "block-everything", "commands.0", "block-principal"),
    ((*IN_COMMAND, "for_each"), None, "commands.0.for_each", "never for everybody"),
    ((*IN_COMMAND, "ttl_seconds"), None, "commands.0.ttl_seconds", "required"),
    ((*IN_COMMAND, "params"), {"sigma": 1}, "commands.0.params", "other parameters"),
    ((*IN_COMMAND, "min_share"), "__floor__:value", f"workflow.{STEP}", "__floor__ is not declared"),
    (("spec_version",), "cacao-1.1", "spec_version", "cacao-2.0"),
    (("id",), "playbook--1", "id", "pattern"),
    (("surprise",), 1, "surprise", "not permitted"),
    (("workflow", END, "on_completion"), START, f"workflow.{END}", "nothing follows an end step"),
]


@pytest.mark.parametrize(("path", "value", "key", "problem"), BROKEN)
def test_each_broken_playbook_is_refused_by_file_and_key(
    tmp_path: Path, path: tuple[Any, ...], value: Any, key: str, problem: str
) -> None:
    content = playbook(BLOCK)
    change(content, path, value)
    with pytest.raises(FormatError) as caught:
        load_playbook(write(tmp_path, content))
    assert str(tmp_path / "playbook.json") in str(caught.value)
    assert key in caught.value.key
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "is a JSON object"),
        ('{"type": "playbook", "type": "playbook"}', "'type' stands twice"),
        ('{"priority": NaN}', "NaN is not a JSON number"),
        ("[" * 100_000, "nested too deeply"),
        (" " * (1 << 21), "are read"),
        ("\xff", "not JSON"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "p.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=problem):
        load_playbook(tmp_path / "p.json")


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p.json: cannot be read"):
        load_playbook(tmp_path / "p.json")


def with_condition(condition: str) -> dict[str, Any]:
    content = playbook(BLOCK, BUDGET, playbook_variables={"__level__": {"type": "string", "value": "3"}})
    workflow = content["workflow"]
    workflow[START]["on_completion"] = IF
    workflow[IF] = {"type": "if-condition", "condition": condition, "on_true": STEP, "on_completion": action_id(1)}
    workflow[STEP]["on_completion"] = END2
    workflow[END2] = {"type": "end"}
    return content


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("__level__:value = '3'", True),
        ("[__level__:value != '3']", False),
        ("__level__:value > 2.5", True),
        ("__level__:value >= '10'", False),
        ("__model__:value = 'digits'", True),
        ("__severity__:value > 3", False),
    ],
)
def test_a_condition_takes_its_branch_and_then_goes_on(tmp_path: Path, condition: str, taken: bool) -> None:
    book = load_playbook(write(tmp_path, with_condition(condition)))
    actions = [item.action for item in render(book, incident())]
    assert actions == ["block-principal"] * 2 * taken + ["set-query-budget"]


def test_an_unreadable_condition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="one comparison"):
        load_playbook(write(tmp_path, with_condition("__level__:value = '1' OR __level__:value = '2'")))


def test_our_playbook_blocks_bounds_and_adds_noise() -> None:
    book = load_playbook(ONLINE_EVASION)
    plan = render(book, incident({"m": 0.6, "anonymous": 0.3, "small": 0.1}))
    seen = [(p.action, p.params["principal"], p.params["model"], p.params["params"]) for p in plan]
    assert seen == [
        ("block-principal", "m", None, {}),
        ("block-principal", "small", None, {}),  # ten probes: a small share, but no accident
        ("set-query-budget", None, "digits", {"queries": 600, "window_seconds": 3600.0}),
        ("set-input-noise", None, "digits", {"sigma": 0.1}),
    ]
    assert {p.params["ttl_seconds"] for p in plan} == {86400.0}
    by_share = render(book, incident({"m": 0.6, "small": 0.1}), {"__min_probes__": "0"})
    assert [p.params["principal"] for p in by_share if p.action == "block-principal"] == ["m"]
    told = render(book, incident(), {"__notify_url__": "http://127.0.0.1:9/hook", "__min_share__": "0.01"})
    assert [p.action for p in told] == ["block-principal"] * 3 + ["set-query-budget", "set-input-noise", "http-api"]
    assert told[-1].params["url"] == "http://127.0.0.1:9/hook"
    assert told[-1].params["idempotent"] is True


def test_values_of_variables_are_checked_where_they_are_used() -> None:
    book = load_playbook(ONLINE_EVASION)
    with pytest.raises(FormatError, match=r"commands.0.ttl_seconds: 'soon' is not a number"):
        render(book, incident(), {"__ttl_seconds__": "soon"})
    with pytest.raises(FormatError, match="2 is not between 0 and 1"):
        render(book, incident(), {"__min_share__": "2"})
    with pytest.raises(UnknownNameError, match="__ttl_seconds__"):
        render(book, incident(), {"__ttl_second__": "1"})


def test_a_plan_has_a_hash_and_hostile_names_stay_inside_their_texts(tmp_path: Path) -> None:
    content = playbook(http_command("/x/__system__:value", '{"t": "__system__:value"}'))
    book = load_playbook(write(tmp_path, content))
    evil = dataclasses.replace(incident(), system='", "admin": "1/../\n')
    [first] = render(book, evil)
    assert first.params["content"] == '{"t": "\\", \\"admin\\": \\"1/../\\n"}'
    assert first.params["url"] == "http://127.0.0.1:9/x/%22%2C%20%22admin%22%3A%20%221%2F..%2F%0A"
    assert plan_hash([first]) == plan_hash(render(book, evil)) != plan_hash(render(book, incident()))
