"""Payloads that nobody loads: each is a whole pickle, and the opcodes that a scanner looks for are in it."""

from __future__ import annotations

import io
import pickle
import pickletools

import pytest

from threatmatrix.emulate.attacks.supply_chain.pickles import MARKER, VARIANTS, calls, pickle_streams


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_is_a_whole_pickle_that_names_and_calls_something(name):
    content = VARIANTS[name][1]()
    assert content == VARIANTS[name][1](), "the same bytes each time"
    for stream in pickle_streams(content):
        pickletools.dis(stream, out=io.StringIO())  # checks the stack too
    found = set(calls(content))
    assert found & {"GLOBAL", "STACK_GLOBAL", "INST"}
    assert found & {"REDUCE", "INST"}
    assert MARKER[:13].encode() in b"".join(pickle_streams(content))


def test_only_the_one_harmless_function_is_ever_named():
    for _, make in VARIANTS.values():
        for stream in pickle_streams(make()):
            named = [
                str(argument) for opcode, argument, _ in pickletools.genops(stream) if opcode.name in ("GLOBAL", "INST")
            ]
            assert set(named) <= {"operator concat"}
            assert b"subprocess" not in stream


def test_harmless_pickles_call_nothing():
    for value in ({"weights": [1.0, 2.0]}, MARKER, pickle.dumps([1, 2])):
        assert calls(pickle.dumps(value)) == ()
