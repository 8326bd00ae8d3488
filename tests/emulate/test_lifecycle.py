"""The journal and the life cycle: whatever moment it ends at, clean-up leaves the target as it was."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate.store_world import Cut, MemoryStore

from threatmatrix.emulate.journal import Journal
from threatmatrix.emulate.lifecycle import Lifecycle
from threatmatrix.emulate.undo import RecordedStore, RecordedTeacher, undoers, write_file
from threatmatrix.model.errors import FormatError, InputError, UsageError


def world() -> dict[str, Any]:
    return {
        "accounts": {"ana": "hers", "owner": "o"},
        "keys": {"key-of-ana": "ana"},
        "objects": {"a": b"first", "b": b"second"},
        "lessons": [("honest", 1)],
    }


def all_undoers(store: MemoryStore):
    return undoers(store=lambda: store, teacher=lambda: store)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.binary(max_size=3)),
        st.tuples(st.just("account"), st.sampled_from(["ana", "new", "other"]), st.just(b"")),
        st.tuples(st.just("key"), st.sampled_from(["ana", "new"]), st.just(b"")),
        st.tuples(st.just("teach"), st.just(""), st.just(b"")),
        st.tuples(st.just("file"), st.sampled_from(["x", "y"]), st.binary(max_size=3)),
    ),
    max_size=8,
)


def carry_out(operations: Any, store: MemoryStore, journal: Journal, folder: Path) -> None:
    recorded, teacher = RecordedStore(store, journal), RecordedTeacher(store, journal)
    for kind, name, content in operations:
        if kind == "put":
            recorded.put("data", name, content)
        elif kind == "account":
            recorded.sign_up(name, "emulation")
        elif kind == "key":
            recorded.sign_in(name, "")
            recorded.make_key()
        elif kind == "teach":
            teacher.teach(np.zeros((2, 1)), np.ones(2, np.int64))
        else:
            write_file(journal, folder / name, content)


def cut_off(folder: Path, operations: Any, first: int, later: list[int], torn: bytes = b"") -> None:
    """Carry out, die at that moment, die again while cleaning up, then clean up; the store must be what it was."""
    state = world()
    (folder / "x").write_bytes(b"mine")
    before = copy.deepcopy(state)
    store = MemoryStore(state)
    store.left = first
    try:
        with Lifecycle.open(folder / "run", procedure="p") as life, life.detonation() as journal:
            carry_out(operations, store, journal, folder)
    except Cut:
        with (folder / "run" / "journal.jsonl").open("ab") as file:
            file.write(torn.replace(b"\n", b""))  # what a power cut leaves of a line that was being written
    for left in later:
        store.left = left
        try:
            with Lifecycle.open(folder / "run") as life:
                life.clean_up(all_undoers(store))
        except Cut:
            continue
    store.left = None
    with Lifecycle.open(folder / "run") as life:
        assert life.clean_up(all_undoers(store)).done
        assert life.state == "clean"
        again = life.clean_up(all_undoers(store))
    assert (again.undone, again.changed, again.failed) == (0, (), ())
    assert state == before
    assert (folder / "x").read_bytes() == b"mine"
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"x", "state.json", "lock"}


EVERYTHING = [
    ("put", "a", b"poison"), ("put", "a", b"more"), ("put", "c", b"new"), ("account", "new", b""), ("key", "new", b""),
    ("key", "ana", b""), ("teach", "", b""), ("file", "x", b"theirs"), ("file", "y", b"payload"),
]  # fmt: skip


MOMENTS = 19
"""At which a store can die while all of that is done: before and after each effect, and at each look."""


def test_cut_off_at_every_moment_of_every_kind_of_change_the_target_ends_as_it_began(tmp_path):
    for moment in range(MOMENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        cut_off(folder, EVERYTHING, moment, [])
    store = MemoryStore(world())
    store.left = MOMENTS
    carry_out(EVERYTHING, store, Journal(tmp_path / "whole"), tmp_path)
    assert store.left == 0, "and these are all the moments that there are"


@settings(max_examples=25, deadline=None)
@given(OPERATIONS, st.integers(0, 14), st.lists(st.integers(0, 12), max_size=3), st.binary(max_size=9))
def test_cut_off_anywhere_and_again_while_cleaning_up_the_target_ends_as_it_began(operations, first, later, torn):
    with tempfile.TemporaryDirectory() as name:
        cut_off(Path(name), operations, first, later, torn)


class TestLifecycle:
    def test_the_phases_go_in_order_and_a_revert_keeps_what_the_warm_up_made(self, tmp_path):
        store = MemoryStore(world())
        with Lifecycle.open(tmp_path, procedure="p", target="t") as life:
            with life.warm_up() as journal:
                RecordedStore(store, journal).put("data", "bait", b"warm")
            assert life.state == "warm"
            with life.detonation() as journal:
                RecordedStore(store, journal).put("data", "a", b"poison")
            with pytest.raises(UsageError, match="p is detonated and cannot be detonated"), life.detonation():
                pass
            assert life.revert(all_undoers(store)).undone == 1
            assert store.world["objects"] == {"a": b"first", "b": b"second", "bait": b"warm"}
            with life.detonation(idempotent=True), pytest.raises(UsageError), life.warm_up():
                pass
            with life.detonation():
                pass  # nothing is there to revert
            assert (life.state, life.runs) == ("detonated", 3)
            assert life.clean_up(all_undoers(store)).undone == 1
        assert store.world == world()

    def test_what_an_error_left_open_is_refused_until_it_is_cleaned_up(self, tmp_path):
        store = MemoryStore(world())
        with Lifecycle.open(tmp_path, procedure="p", target="t") as life, pytest.raises(Cut), life.detonation():
            raise Cut
        with pytest.raises(UsageError, match="p against t is detonating"):
            Lifecycle.open(tmp_path, procedure="q", target="t")
        with Lifecycle.open(tmp_path) as life:
            assert (life.state, life.procedure, life.target) == ("detonating", "p", "t")
            with pytest.raises(UsageError, match="cannot be detonated"), life.detonation():
                pass
            life.clean_up(all_undoers(store))
            with pytest.raises(UsageError, match="cannot be reverted"):
                life.revert({})
        with Lifecycle.open(tmp_path, procedure="q", target="t") as life, life.detonation():
            assert life.procedure == "q"

    def test_two_processes_do_not_share_a_folder(self, tmp_path):
        with Lifecycle.open(tmp_path), pytest.raises(UsageError, match="another process"):
            Lifecycle.open(tmp_path)
        Lifecycle.open(tmp_path).close()

    def test_a_target_that_is_down_is_cleaned_up_later_and_in_the_right_order(self, tmp_path):
        store = MemoryStore(world())
        with Lifecycle.open(tmp_path / "run") as life:
            with life.detonation() as journal:
                recorded = RecordedStore(store, journal)
                recorded.sign_up("new", "n")
                recorded.put("data", "a", b"one")
                recorded.put("data", "a", b"two")
                write_file(journal, tmp_path / "payload", b"inert")
            store.down = True
            done = life.clean_up(all_undoers(store))
            assert (done.undone, life.state, (tmp_path / "payload").exists()) == (1, "cleaning", False)
            assert "store is down" in done.failed[0]
            assert all("waits for a newer change" in line for line in done.failed[1:])
            store.down = False
            assert life.clean_up(all_undoers(store)).undone == 3
        assert store.world == world()

    def test_what_somebody_else_changed_meanwhile_stays_theirs(self, tmp_path):
        store = MemoryStore(world())
        with Lifecycle.open(tmp_path / "run") as life:
            with life.detonation() as journal:
                RecordedStore(store, journal).put("data", "a", b"poison")
                write_file(journal, tmp_path / "file", b"mine")
            store.world["objects"]["a"] = b"repaired"
            (tmp_path / "file").write_bytes(b"theirs")
            done = life.clean_up(all_undoers(store))
            assert (done.done, len(done.changed), life.state) == (True, 2, "clean")
            assert life.journal.kept(life.journal.changes[0].where["before"]) == b"first"
        assert store.world["objects"]["a"] == b"repaired"
        assert (tmp_path / "file").read_bytes() == b"theirs"

    def test_nobody_knows_how_to_undo_a_kind_that_is_not_given(self, tmp_path):
        store = MemoryStore(world())
        with Lifecycle.open(tmp_path) as life:
            with life.detonation() as journal:
                RecordedTeacher(store, journal).teach(np.zeros((1, 1)), np.ones(1, np.int64))
            assert "nobody knows how to undo a change of kind 'teach'" in life.clean_up(undoers()).failed[0]

    def test_a_state_that_is_none_is_refused(self, tmp_path):
        for content in ("nonsense", '{"state": "asleep", "format": 1}', '{"mood": 1}', '{"format": 2}'):
            (tmp_path / "state.json").write_text(content)
            with pytest.raises(FormatError):
                Lifecycle.open(tmp_path)


class TestJournal:
    def test_what_was_written_is_read_back_and_only_its_owner_may(self, tmp_path):
        with Journal(tmp_path / "j", phase="warm-up") as journal:
            first = journal.intend("put", key="ä")
            journal.acted(first)
            second = journal.intend("file", path="p")
            journal.undone(second)
            digest = journal.keep(b"before")
        again = Journal(tmp_path / "j")
        assert again.changes == journal.changes
        assert [change.number for change in again.pending()] == [first]
        assert [change.kind for change in again.pending("warm-up")] == ["put"]
        assert again.kept(digest) == b"before"
        modes = {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*") if path.is_file()}
        assert modes == {0}

    def test_a_journal_that_somebody_changed_and_a_copy_that_is_gone_are_named(self, tmp_path):
        journal = Journal(tmp_path)
        journal.intend("put")
        digest = journal.keep(b"before")
        journal.close()
        (tmp_path / "kept" / digest).write_bytes(b"after")
        with pytest.raises(InputError, match="digest differs"):
            journal.kept(digest)
        with pytest.raises(InputError, match="cannot be read"):
            journal.kept("0" * 64)
        for line in ('{"change": 3, "kind": "put", "phase": "", "where": {}}', '{"change": 1, "now": "lost"}', "[]"):
            path = tmp_path / "journal.jsonl"
            kept = path.read_bytes()
            path.write_bytes(kept + line.encode() + b"\n")
            with pytest.raises(FormatError, match=r"journal\.jsonl:2"):
                Journal(tmp_path)
            path.write_bytes(kept)
