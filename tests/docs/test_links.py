"""Links lead somewhere, every page is reachable, and no page names a command or an option that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.docs.shown import PAGES, ROOT, anchors, blocks, commands, name_of, prose
from tests.docs.test_reference import COMMANDS

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPTIONS = {path: {name for p in command.params for name in (*p.opts, *p.secondary_opts)} for path, command in COMMANDS}
EVERY_OPTION = set().union(*OPTIONS.values()) | {"--help", "-h"}
# options of other programs that the docs name
FOREIGN = {"--host", "--port"}


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def places(page: Path) -> list[str]:
    """Every piece of a page that may be a command: inline code, and the commands of console blocks."""
    inline = re.findall(r"`([^`]+)`", prose(page))
    shown = [c.text for b in blocks(page) if b.info == "console" for c in commands(b)]
    return [" ".join(piece.split()) for piece in (*inline, *shown)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_and_anchors_resolve(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"]
    assert {name_of(page) for page in set(PAGES) - seen} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_that_are_named_exist(page: Path) -> None:
    for piece in places(page):
        called = re.search(r"(?:^|\s)threatmatrix( .*|$)", piece)
        if called:
            check_call(called[1].split(), f"{name_of(page)}: `{piece}`")
        elif piece.startswith("--"):
            for option in re.findall(r"--[a-z][a-z-]*", piece):
                assert option in EVERY_OPTION | FOREIGN, f"{name_of(page)}: `{piece}`"


def check_call(words: list[str], where: str) -> None:
    known: dict[str, Any] = dict(COMMANDS)
    path, takes_value = "threatmatrix", False
    for word in words:
        name = re.sub(r"=.*", "", word)
        if takes_value:
            takes_value = False
        elif name.startswith("-") and len(name) > 1:
            for option in name.split("|"):
                assert option in OPTIONS[path] | {"--help", "-h"}, f"{where}: {path} has no {option}"
                parameter = next((p for p in known[path].params if option in (*p.opts, *p.secondary_opts)), None)
                takes_value = parameter is not None and not parameter.is_flag and "=" not in word
        elif f"{path} {word}" in known:
            path = f"{path} {word}"
        else:
            takes_no_argument = not any(p.param_type_name == "argument" for p in known[path].params)
            assert not (hasattr(known[path], "commands") and takes_no_argument), f"{where}: {path} has no {word}"
