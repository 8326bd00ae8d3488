"""What stands for inputs in an event: the same in every process, near for what is near, nothing of the input itself."""

from __future__ import annotations

import json
import random
from base64 import b64encode

import numpy as np
import pytest
from benchmarks.prompt_traffic import VARIATIONS, honest, prompt
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.telemetry.dead_letters import MAX_MASKED, DeadLetterFile, masked
from threatmatrix.telemetry.inputs.fingerprint import Fingerprinter
from threatmatrix.telemetry.inputs.inputs import InputFields, Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring, derive_key
from threatmatrix.telemetry.inputs.oip import Tensor
from threatmatrix.telemetry.inputs.prompts import LEAST, TextProjection, asked

KEY, OTHER = Key("1", b"1" * 32), Key("2", b"2" * 32)
PLAIN, NEW = Inputs(Keyring(KEY)), Inputs(Keyring(OTHER))
OVERLAPPING = Inputs(Keyring(OTHER, KEY, 100))
PINNED = [3, 7, -3, 0, 3, 24, -9, 7]
PROMPT = "Write a poem about a parcel that was sent to the wrong address and liked it there."


def tensor(rows: np.ndarray, name: str = "x") -> Tensor:
    return Tensor(name, "FP64", rows.shape, rows, None, True)


def vector(text: str, key: Key = KEY) -> np.ndarray:
    found = (PLAIN if key is KEY else NEW).text(text, 0).input_vec
    assert found is not None
    return np.frombuffer(found, np.int8).astype(float)


def distance(one: str, other: str) -> float:
    return float(np.linalg.norm(vector(one) - vector(other)) * TextProjection.scale)


# Rows of numbers


def test_rows_have_the_fingerprints_that_the_gateway_writes() -> None:
    rows = np.random.default_rng(0).random((5, 64))
    fields = PLAIN.rows("digits", [tensor(rows)], 5, 0)
    made = Fingerprinter(derive_key(KEY.secret, "fingerprint"), input_range=(0.0, 1.0))
    vectors = made.vectors([tensor(rows)])
    assert vectors is not None
    assert [each.input_fp for each in fields] == made.hashes([tensor(rows)], 5)
    assert [b64encode(each.input_vec or b"").decode() for each in fields] == vectors.encoded
    assert {(each.vec_key, each.vec_scale, each.input_bytes) for each in fields} == {(vectors.key, made.scale, 512)}
    assert {each[4:7] + each[8:] for each in fields} == {(None,) * 4}


def test_an_overlap_adds_the_view_of_the_old_key_until_its_time() -> None:
    rows = np.random.default_rng(0).random((2, 64))
    (before, _), (during, _), (after, _) = (
        inputs.rows("m", [tensor(rows)], 2, time)
        for inputs, time in ((PLAIN, 0), (OVERLAPPING, 99), (OVERLAPPING, 100))
    )
    assert (during.input_fp_prev, during.input_vec_prev, during.vec_key_prev) == (
        before.input_fp,
        before.input_vec,
        before.vec_key,
    )
    assert after[:4] == during[:4]
    assert after[4:7] == (None, None, None)


def test_a_models_range_sets_the_unit_of_its_vectors() -> None:
    wide = Inputs(Keyring(KEY), ranges={"m": (0.0, 255.0)})
    rows = np.random.default_rng(0).random((1, 64))
    (one,), (other,) = wide.rows("m", [tensor(rows * 255)], 1, 0), PLAIN.rows("m", [tensor(rows)], 1, 0)
    assert one.vec_scale == pytest.approx(255 * (other.vec_scale or 0))
    assert one.input_vec == other.input_vec


def test_texts_have_hashes_and_no_rows_are_no_fields() -> None:
    texts = Tensor("t", "BYTES", (2, 1), None, [["abc"], ["d"]], True)
    fields = PLAIN.rows("m", [texts], 2, 0)
    assert [each.input_bytes for each in fields] == [len('["abc"]'), len('["d"]')]
    assert fields[0].input_fp != fields[1].input_fp
    assert [each.input_vec for each in fields] == [None, None]
    assert PLAIN.rows("m", [], 2, 0) == [InputFields()] * 2


def test_the_input_itself_is_kept_where_somebody_asked_for_it() -> None:
    raw = Inputs(Keyring(KEY), keep_raw=True)
    (row,) = raw.rows("m", [tensor(np.array([[0.5, 1.0]]))], 1, 0)
    assert json.loads(row.input_raw or "") == {"x": [0.5, 1.0]}
    assert raw.text("Hello.", 0).input_raw == "Hello."


# Prompts


def test_variations_of_a_prompt_lie_nearer_than_any_two_prompts() -> None:
    different = honest(11, 60)
    vectors = np.array([vector(text) for text in different])
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2) * TextProjection.scale
    nearest = apart[~np.eye(len(different), dtype=bool)].min()
    rng = random.Random(12)
    for name in ("typos, 2 % of the letters", "one word in ten replaced", "sentences in another order"):
        texts = [prompt(rng) for _ in range(10)]
        assert max(distance(VARIATIONS[name](rng, text), text) for text in texts) < nearest, name


def test_case_space_and_form_of_letters_do_not_count() -> None:
    assert distance(PROMPT, PROMPT.upper().replace(" ", "\n\t ")) == 0
    full_width = "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in PROMPT)
    assert distance(PROMPT, full_width) == 0


def test_a_vector_belongs_to_its_key() -> None:
    same, other = PLAIN.text(PROMPT, 0), NEW.text(PROMPT, 0)
    assert same.vec_key != other.vec_key
    assert same.vec_key != PLAIN.rows("m", [tensor(np.zeros((1, 64)))], 1, 0)[0].vec_key
    assert abs(np.corrcoef(vector(PROMPT), vector(PROMPT, OTHER))[0, 1]) < 0.5


def test_an_overlap_adds_the_old_view_of_a_prompt() -> None:
    during, before = OVERLAPPING.text(PROMPT, 0), PLAIN.text(PROMPT, 0)
    assert (during.input_fp_prev, during.input_vec_prev, during.vec_key_prev) == (
        before.input_fp,
        before.input_vec,
        before.vec_key,
    )


def test_a_short_text_has_a_hash_but_no_vector() -> None:
    fields = PLAIN.text("x" * (LEAST - 1), 0)
    assert (fields.input_vec, fields.vec_scale, fields.vec_key) == (None, None, None)
    assert fields.input_fp
    assert PLAIN.text("abcd" * (LEAST // 4), 0).input_vec


def test_a_vector_is_pinned() -> None:
    # what is in a lake must compare with what comes next year: a change here needs a new projection id
    assert np.abs(vector(PROMPT)[:8] - PINNED).max() <= 1  # the last digit is the machine's


@pytest.mark.parametrize(
    "content",
    [
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": PROMPT}],
        [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "?"},
            {"role": "user", "content": PROMPT},
        ],
        [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": "Once there was"}],
        [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
        {"messages": [{"role": "user", "content": [{"text": PROMPT}]}], "max_tokens": 5},
        {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]},
        [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}],
        {"prompt": PROMPT, "temperature": 1},
        {"inputText": PROMPT},
        [PROMPT],
    ],
)
def test_of_a_conversation_the_last_question_counts(content: object) -> None:
    assert asked(json.dumps(content)) == PROMPT


@pytest.mark.parametrize("content", ['{"age": 5, "income": 7}', "[]", "[1, 2]", "{}", '[{"a": {"b": 1}}]'])
def test_records_and_nothing_are_no_question(content: str) -> None:
    assert not asked(content)
    assert PLAIN.text(content, 0).input_vec is None


@settings(max_examples=60)
@given(st.text(st.characters(codec=None), max_size=300) | st.just("[" * 5000) | st.just("é" * 50_000))
def test_whatever_is_asked_has_a_fingerprint(text: str) -> None:
    fields = PLAIN.text(text, 0)
    assert fields.input_fp
    assert fields.input_vec is None or len(fields.input_vec) == 64


# Dead letters


@given(st.text())
def test_a_masked_text_keeps_the_shape_and_no_letter_or_digit(text: str) -> None:
    shape = masked(text)
    assert len(shape) == min(len(text), MAX_MASKED)
    assert set(shape) <= set(map(chr, range(128)))
    assert not any(c.isalnum() and c not in "x0" for c in shape)


def test_masking_shows_where_a_line_broke() -> None:
    assert masked('{"key": "sk-4eC39", "n": 12') == '{"xxx": "xx-0xX00", "x": 00'.replace("X", "x")
    assert DeadLetterFile().keep_raw is False
