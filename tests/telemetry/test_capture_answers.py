"""Answers become labels and scores by row, and tell nothing of what they do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.serving_reading import BODIES

from threatmatrix.telemetry.inputs.answers import MAX_ROWS, MAX_SCORES, Answer, RowAnswer, read_answer, usage_of


@settings(max_examples=80)
@given(BODIES | st.text(max_size=30), st.none() | st.integers(1, 4))
def test_any_answer_fits_its_rows(value: Any, rows: int | None) -> None:
    answer = read_answer(value, rows)
    assert len(answer.by_row) in (0, answer.rows)
    assert rows is None or answer.rows == rows
    for label, scores in answer.by_row:
        assert label is None or len(label) <= 256
        assert scores is None or all(type(score) is float and abs(score) < float("inf") for score in scores)


@pytest.mark.parametrize(
    ("value", "rows", "expected"),
    [
        ({"predictions": [[0.25, 0.75], [1, 0]]}, 2, [("1", (0.25, 0.75)), ("0", (1.0, 0.0))]),
        ({"predictions": [[-2.5, 7.0]]}, None, [(None, (-2.5, 7.0))]),  # logits name no label
        ({"predictions": [2, 0]}, None, [("2", None), ("0", None)]),
        ({"predictions": ["cat"]}, 1, [("cat", None)]),
        ({"predictions": [0.5]}, 1, [(None, (0.5,))]),
        ({"outputs": {"classes": [3, 1], "probabilities": [[0.5, 0.5], [0.25, 0.75]]}}, 2, [None, None]),
        ([11.5, 4.25], 2, [(None, (11.5,)), (None, (4.25,))]),
        ([0.25, 0.75], 1, [("1", (0.25, 0.75))]),
        ([{"label": "good", "score": 0.75}], 1, [("good", (0.75,))]),
        ([[{"label": "bad", "score": 0.25}, {"label": "good", "score": 0.75}]], 1, [("good", (0.75,))]),
        ({"predictions": [{"displayNames": ["a", "b"], "confidences": [0.25, 0.75]}]}, 1, [("b", (0.25, 0.75))]),
        ({"predictions": [{"score": 0.5, "predicted_label": 1}]}, 1, [("1", (0.5,))]),
        ([{"0": 1}], 1, [("1", None)]),
        ("0.25,0.75", 2, [(None, (0.25,)), (None, (0.75,))]),  # XGBoost: one line for several rows
        ("0.25,0.75", 1, [("1", (0.25, 0.75))]),
        ("0.25\n0.5", None, [(None, (0.25,)), (None, (0.5,))]),
        ("cat", 1, [("cat", None)]),
        ({"result": {"nothing": "is", "known": None}}, None, []),
        ({"predictions": [1]}, 2, []),
        ({"predictions": [1] * (MAX_ROWS + 1)}, None, []),
        ({"predictions": [[0.5] * (MAX_SCORES + 1)]}, 1, [(None, None)]),
        ({"predictions": [[10**400, -(10**400), 0.5]]}, 1, [(None, None)]),
        (
            {"outputs": [{"name": "predict", "datatype": "INT64", "shape": [2], "data": [7, 8]}]},
            2,
            [("7", None), ("8", None)],
        ),
        (
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [1, 0]}]},
            None,
            [(None, (1.0,)), (None, (0.0,))],
        ),
        (
            {"outputs": [{"name": "p", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}]},
            None,
            [("1", (0.25, 0.75))],
        ),
        (
            {"outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [2, 7]}]},
            1,
            [("1", (2.0, 7.0))],
        ),
        ({"outputs": [{"name": [], "datatype": [], "shape": [1]}, {"datatype": "FP32"}]}, None, []),
        ({"outputs": [{"name": "p", "datatype": "FP32", "shape": [2, 2], "data": [1]}]}, None, []),
    ],
)
def test_answers(value: Any, rows: int | None, expected: list[Any]) -> None:
    answer = read_answer(value, rows)
    if expected == [None, None]:
        expected = [(None, (0.5, 0.5)), (None, (0.25, 0.75))]
        assert [row.scores for row in answer.by_row] == [scores for _, scores in expected]
        return
    assert [tuple(row) for row in answer.by_row] == expected


def test_tokens() -> None:
    assert usage_of({"usage": {"prompt_tokens": 3, "completion_tokens": 5}}) == (3, 5)
    assert usage_of({"usage": {"input_tokens": 3, "output_tokens": 5}}) == (3, 5)
    assert usage_of({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5}}) == (3, 5)
    assert usage_of({"usage": {"prompt_tokens": -3, "completion_tokens": "5"}}) == (None, None)
    assert usage_of([1]) == usage_of({"usage": 3}) == (None, None)
    assert Answer(0).by_row == ()
    assert RowAnswer() == (None, None)
