"""Everything shown is so: commands print what is printed, examples run, the README's table has today's shape."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.docs.shown import PAGES, ROOT, Block, Command, blocks, commands, name_of

REPLAY = "threatmatrix replay microsoft-edge-ai"
EXECUTED = ("README.md", "CONTRIBUTING.md", "docs/guides/")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
INCIDENT = re.compile(r"\binc-[0-9a-f]{12}\b")
SHOWN = [
    page for page in PAGES
    if any(b.info == "console" for b in blocks(page)) or name_of(page).startswith(EXECUTED)
]  # fmt: skip


def folded(line: str) -> str:
    """A line with white space folded, and ids and digits replaced: what must agree."""
    line = re.sub(r"\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b", "#", line)
    return re.sub(r"\d+", "#", " ".join(line.split()))


class Walk:
    """One page from top to bottom, in one folder: files are written, commands run, Python executed."""

    def __init__(self, page: Path, folder: Path, environment: dict[str, str]) -> None:
        self.page, self.folder, self.environment = name_of(page), folder, environment
        self.ids: dict[str, str] = {}  # an incident's id on the page -> its id here
        self.namespace: dict[str, Any] = {"__name__": "shown"}

    def block(self, block: Block) -> None:
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.info == "console":
            for command in commands(block):
                self.command(command)
        elif block.info.startswith("python") and self.page.startswith(EXECUTED):
            assert block.info == "python" or re.fullmatch(r"python no-run \S.*", block.info), "no-run needs a reason"
            if block.info == "python":
                exec(compile(block.text, f"{self.page}:{block.line}", "exec"), self.namespace)

    def command(self, command: Command) -> None:
        where = f"{self.page}:{command.line}: $ {command.text}"
        if command.text.startswith("make "):
            assert command.text.removeprefix("make ") in TARGETS, where
            assert not any(command.output), f"{where}: not run, so it shows no output"
            return
        if command.text == REPLAY:
            return  # compared by shape below
        text = INCIDENT.sub(lambda match: self.ids.get(match[0], match[0]), command.text)
        run = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert run.returncode == command.code, f"{where}: exit {run.returncode}\n{run.stdout}{run.stderr}"
        self.compare(command, run.stdout, run.stderr, where)

    def compare(self, command: Command, stdout: str, stderr: str, where: str) -> None:
        """Each shown line comes after the one shown before it, in one of the two streams."""
        streams = [stdout.splitlines(), stderr.splitlines()]
        for shown in command.output:
            if not shown.strip() or shown.strip() == "…":
                continue
            for stream in streams:
                at = next((n for n, line in enumerate(stream) if folded(line) == folded(shown)), None)
                if at is not None:
                    self.ids.update(zip(INCIDENT.findall(shown), INCIDENT.findall(stream[at]), strict=True))
                    del stream[: at + 1]
                    break
            else:
                pytest.fail(f"{where}: does not print, or not in this order:\n{shown}\n\n{stdout}\n{stderr}")


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_what_is_shown_is_so(
    page: Path, logs: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for log in logs.iterdir():
        if page.stem != "ml-engineer" or log.name != "gateway.jsonl":  # there the page's own gateway writes it
            shutil.copy(log, tmp_path)
    for name in ("tests", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".threatmatrix").mkdir()
    shutil.copy(Path(__file__).with_name("my_service.py"), tmp_path)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    monkeypatch.setenv("GATEWAY_SECRET", "5ec2e7" * 8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    walk = Walk(page, tmp_path, environment)
    for block in blocks(page):
        walk.block(block)


# --- the README's replay: sixty samples there, three here; labels, columns and sentences must agree -----------------


def shape(text: str) -> tuple[list[tuple[str, int]], str]:
    """Rows as (label, number of columns), and the sentences between tables with their figures left out."""
    rows: list[tuple[str, int]] = []
    sentences: list[str] = []
    for line in text.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if len(cells) > 1:
            rows.append((cells[0], len(cells)))
        elif len(line) - len(line.lstrip()) < 8:  # deeper: the rest of a table's cell
            sentences.append(cells[0])
    said = " ".join(" ".join(sentences).split())
    said = re.sub(r"blocked: .*? · actions: .*? (?=Evidence)", "blocked: … · actions: … ", said)
    said = re.sub(r"alarm at input \d+|no alarm", "(alarm)", said)
    said = re.sub(r"\binc-[0-9a-f]+", "inc-#", said)
    return rows, re.sub(r"[+\-−]?(\d+(\.\d+)?|\.\d+)", "#", said)


def test_the_readme_shows_the_replay_as_it_prints_today(replayed: str) -> None:
    (shown,) = (c for b in blocks(ROOT / "README.md") if b.info == "console" for c in commands(b) if c.text == REPLAY)
    rows, said = shape("\n".join(shown.output))
    rows_now, said_now = shape(replayed)
    assert rows == rows_now
    assert said == said_now
    assert "· seed 1 · 60 samples ·" in shown.output[0]
