"""A contribution is checked as a whole and taken in as a whole, or not at all."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from threatmatrix.knowledge import LIBRARY, load_library
from threatmatrix.model.errors import InputError, UnknownNameError, UsageError
from threatmatrix.workflows.contribute import import_folder
from threatmatrix.workflows.technique import check_technique, start_technique

TECHNIQUE = """\
name: Slow probing
kind: ml
tactics: [model-evasion]
description: The probes of an online evasion come a few at a time. Counting requests does not show it.
year: 2026
"""


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def contribution(tmp_path: Path) -> Path:
    return write(tmp_path, "sent/slow-probing/technique.yaml", TECHNIQUE).parent


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_one_technique_s_folder_is_taken_in(contribution: Path, tmp_path: Path) -> None:
    target = tmp_path / "home" / "library"
    done = import_folder(contribution, target)
    assert done.files == ("techniques/slow-probing/technique.yaml",)
    assert load_library(target).technique("slow-probing").name == "Slow probing"
    again = import_folder(contribution, target)
    assert again.replaced == ()


def test_a_folder_in_the_library_s_layout_is_taken_in_beside_what_is_there(contribution: Path, tmp_path: Path) -> None:
    target = tmp_path / "library"
    import_folder(contribution, target)
    whole = tmp_path / "whole"
    write(
        whole, "techniques/fast-probing/technique.yaml", TECHNIQUE.replace("Slow", "Fast") + "enables: [slow-probing]\n"
    )
    write(whole, "README.md", "Not a library file.")
    import_folder(whole, target)
    assert load_library(target).technique("fast-probing").enables == ("slow-probing",)
    assert not (target / "README.md").exists()


def test_other_content_needs_replace(contribution: Path, tmp_path: Path) -> None:
    target = tmp_path / "library"
    import_folder(contribution, target)
    write(contribution, "technique.yaml", TECHNIQUE.replace("Slow", "Very slow"))
    before = tree(target)
    with pytest.raises(UsageError, match="already has other content in techniques/slow-probing/technique"):
        import_folder(contribution, target)
    assert tree(target) == before
    assert import_folder(contribution, target, replace=True).replaced == ("techniques/slow-probing/technique.yaml",)
    assert load_library(target).technique("slow-probing").name == "Very slow probing"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "technique.yaml",
            TECHNIQUE.replace("model-evasion", "evasion"),
            "technique.yaml:3: tactics[0]: no tactic is called",
        ),
        (
            "technique.yaml",
            TECHNIQUE.replace("kind: ml", "kind: orange"),
            "technique.yaml:2: kind: 'orange' is not valid",
        ),
        ("rules/one.txt", "x", "a file of this kind does not belong here"),
        ("extra.yaml", "x: 1", "nothing of this name belongs here"),
    ],
)
def test_nothing_is_half_imported(file: str, text: str, said: str, contribution: Path, tmp_path: Path) -> None:
    target = tmp_path / "library"
    write(contribution, file, text)
    with pytest.raises(UsageError) as caught:
        import_folder(contribution, target)
    assert said in str(caught.value)
    assert str(contribution / file) in str(caught.value), "the error names the contribution's own file"
    assert not target.exists()


def test_a_write_that_fails_leaves_what_was_there(
    contribution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "library"
    import_folder(contribution, target)
    before = tree(target)
    write(contribution, "technique.yaml", TECHNIQUE.replace("Slow", "Very slow"))
    rename = Path.rename

    def full(self: Path, other: Path) -> Path:
        if other == target and "-old-" not in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, other)

    monkeypatch.setattr("threatmatrix.workflows.contribute._exchanged", lambda *_: False)
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputError, match="No space left"):
        import_folder(contribution, target, replace=True)
    assert tree(target) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".library.lock"]


def test_links_and_what_is_no_contribution_are_refused(contribution: Path, tmp_path: Path) -> None:
    (contribution / "playbook.json").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is a link"):
        import_folder(contribution, tmp_path / "library")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no library files"):
        import_folder(tmp_path / "empty", tmp_path / "library")
    with pytest.raises(InputError, match="no such folder"):
        import_folder(tmp_path / "nowhere", tmp_path / "library")


def test_of_several_at_once_none_is_lost(tmp_path: Path) -> None:
    target = tmp_path / "library"
    names = [f"probing-{number}" for number in range(6)]
    for name in names:
        write(tmp_path, f"sent/{name}/technique.yaml", TECHNIQUE.replace("Slow probing", name))
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: import_folder(tmp_path / "sent" / name, target), names))
    assert set(names) <= set(load_library(target).techniques)


def test_what_a_killed_import_left_is_swept_up(contribution: Path, tmp_path: Path) -> None:
    left = tmp_path / ".library-0123456789ab"
    kept = tmp_path / ".library-notes"
    for folder in (left, kept):
        write(folder, "techniques/x/technique.yaml", "half")
    import_folder(contribution, tmp_path / "library")
    assert (left.exists(), kept.exists()) == (False, True)


def test_a_dry_run_writes_nothing(contribution: Path, tmp_path: Path) -> None:
    done = import_folder(contribution, tmp_path / "library", dry_run=True)
    assert done.library.technique("slow-probing")
    assert not (tmp_path / "library").exists()


def test_a_new_technique_passes_every_check_and_can_be_imported(tmp_path: Path) -> None:
    made = start_technique(tmp_path / "slow-probing", load_library(), tactic="model-evasion")
    assert {path.name for path in made} >= {"technique.yaml", "attack.jsonl", "benign.jsonl"}
    checks = check_technique(tmp_path / "slow-probing")
    assert {check.result for check in checks} == {"pass", "absent"}
    assert sum(check.result == "pass" for check in checks) >= 5
    import_folder(tmp_path / "slow-probing", tmp_path / "library")
    assert load_library(tmp_path / "library").technique("slow-probing").rules


RULE = "rules/example.yml"
BROKEN = {  # what is replaced in which file by what → the check that fails, and what it says
    "a name that the id does not have": (
        ("technique.yaml", "atlas: []", "atlas: [{id: AML.T0015, name: Evade ML, relation: exact}]"),
        ("ids exist", "not Evade ML"),
    ),
    "an id that does not exist": (
        ("technique.yaml", "atlas: []", "atlas: [{id: AML.T9999, name: Evade, relation: exact}]"),
        ("ids exist", "not in the index"),
    ),
    "a kind that does not exist": (("technique.yaml", "kind: ml", "kind: grey"), ("files load", "'grey' is not valid")),
    "a rule that is silent": (
        (RULE, "startswith: ExampleTool/", "startswith: Other/"),
        ("passes the tests that it carries", "does not fire"),
    ),
    "a rule that always fires": (
        (RULE, "startswith: ExampleTool/", "contains: /"),
        ("passes the tests that it carries", "fires, and must not"),
    ),
    "a rule that does not compile": ((RULE, "user_agent|", "user_agent|sideways|"), ("rules compile", "sideways")),
    "a rule without the honest twin": ((RULE, "fires: false", "fires: true"), ("passes the tests", "does not fire")),
    "a rule without tests that is silent": ((RULE, "fires:", "would_fire:"), ("rules compile", "unknown key")),
    "a sample that is no log": (("samples/attack.jsonl", "{", "["), ("fires on the attack", "silent")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_technique_fails_the_check_that_is_about_it(name: str, tmp_path: Path) -> None:
    (file, old, new), (what, said) = BROKEN[name]
    folder = tmp_path / "slow-probing"
    start_technique(folder, load_library())
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    failed = [check for check in check_technique(folder) if check.result == "fail"]
    assert len(failed) == 1
    assert what in failed[0].what
    assert said in failed[0].said


def test_names_that_cannot_be(tmp_path: Path) -> None:
    library = load_library()
    with pytest.raises(UsageError, match="cannot be a technique's slug"):
        start_technique(tmp_path / "Slow_Probing", library)
    with pytest.raises(UsageError, match="has a technique online-evasion already"):
        start_technique(tmp_path / "online-evasion", library)
    with pytest.raises(UnknownNameError, match="impact"):
        start_technique(tmp_path / "slow-probing", library, tactic="impcat")
    start_technique(tmp_path / "slow-probing", library)
    with pytest.raises(UsageError, match="exists already"):
        start_technique(tmp_path / "slow-probing", library)
    with pytest.raises(InputError, match=r"no such folder|holds no"):
        check_technique(tmp_path / "nothing")


def test_a_rule_may_count_what_another_technique_s_rule_finds(tmp_path: Path) -> None:
    shipped = LIBRARY / "techniques" / "online-evasion"
    assert any("correlation:" in rule.read_text() for rule in (shipped / "rules").glob("*.yml"))
    assert not [check for check in check_technique(shipped) if check.result == "fail"]


@pytest.mark.parametrize("name", ['say "no"', "key: value", "# none", "two\nlines: here", "\\x41 [bold]", "'"])
def test_a_name_is_only_ever_a_name(tmp_path: Path, name: str) -> None:
    start_technique(tmp_path / "slow-probing", load_library(), name=name)
    import_folder(tmp_path / "slow-probing", tmp_path / "library")
    assert load_library(tmp_path / "library").technique("slow-probing").name == " ".join(name.split())


def test_a_pipe_is_no_file_of_a_contribution(contribution: Path, tmp_path: Path) -> None:
    os.mkfifo(contribution / "pipe")
    with pytest.raises(InputError, match="pipe: is no plain file"):
        import_folder(contribution, tmp_path / "library")


def test_a_folder_with_nothing_to_take_in_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "sent/techniques/.hidden/technique.yaml", TECHNIQUE)
    with pytest.raises(InputError, match="holds no library files"):
        import_folder(tmp_path / "sent", tmp_path / "library")
    assert not (tmp_path / "library").exists()


def test_an_error_in_what_was_there_before_names_that_file(contribution: Path, tmp_path: Path) -> None:
    old = write(tmp_path, "library/techniques/fast-probing/technique.yaml", TECHNIQUE.replace("ml", "orange"))
    with pytest.raises(UsageError) as caught:
        import_folder(contribution, tmp_path / "library")
    assert str(old) in str(caught.value)
    assert str(contribution) not in str(caught.value)


def test_a_link_to_the_library_stays_a_link(contribution: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "library"
    real.mkdir()
    link.symlink_to(real)
    import_folder(contribution, link)
    assert link.is_symlink()
    assert load_library(real).technique("slow-probing")


def test_a_library_is_never_out_of_its_place(contribution: Path, tmp_path: Path) -> None:
    """Whoever is killed between two steps leaves the old library or the new one, and nothing else in its place."""
    target = tmp_path / "library"
    import_folder(contribution, target)
    write(contribution, "technique.yaml", TECHNIQUE.replace("Slow probing", "Very slow probing"))
    names = []

    def watch(event: str, _arguments: object) -> None:
        if event in ("os.rename", "os.remove", "shutil.rmtree"):
            names.append(load_library(target).technique("slow-probing").name if target.is_dir() else "gone")

    on = True
    sys.addaudithook(lambda event, arguments: watch(event, arguments) if on else None)
    try:
        import_folder(contribution, target, replace=True)
    finally:
        on = False
    assert set(names) <= {"Slow probing", "Very slow probing"}
    assert names[-1] == "Very slow probing"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".library.lock"]
