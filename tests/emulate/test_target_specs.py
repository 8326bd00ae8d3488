"""``--target`` in one word, and the forms in which servers say labels, scores and texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate.helpers import scope

from threatmatrix.emulate.targets import (
    connect,
    parse_target,
)
from threatmatrix.emulate.targets.form import Reading
from threatmatrix.model.errors import UnknownNameError, UsageError


def signed(**changes):
    return scope(models=("numbers",), **changes)


class TestSpecs:
    @pytest.mark.parametrize(
        "text",
        [
            "oip:http://127.0.0.1:8080/v2/models/digits", "oip:https://h/prefix/v2/models/a%2Fb",
            "mlflow:http://[::1]:5000#m",
            "tf:http://h:1/v1/models/m/versions/3", "chat:http://h/v1#org/model", "template:a b.yaml",
            "reference:digits",
        ],
    )  # fmt: skip
    def test_what_is_read_is_written_the_same(self, text):
        spec = parse_target(text)
        assert parse_target(str(spec)) == spec

    def test_parts(self):
        assert parse_target("mlflow:http://h:5000/").model == "mlflow"
        spec = parse_target("oip:http://h/prefix/v2/models/a%2Fb")
        assert (spec.url, spec.model) == ("http://h/prefix", "a/b")
        at = parse_target("reference:digits").served_at("http://127.0.0.1:9")
        assert str(at) == "oip:http://127.0.0.1:9/v2/models/digits"

    @pytest.mark.parametrize(
        "text",
        [
            "", "digits", "http://h/v2/models/m", "oip:", "oip:h/v2/models/m", "oip:http://h", "oip:http://h/v2/models/",
            "oip:http://u:p@h/v2/models/m", "oip:http://h/v2/models/m?x=1", "oip:http://h:99999/v2/models/m",
            "oip:ftp://h/v2/models/m", "tf:http://h/v2/models/m", "chat:http://h/v1", "template:", "reference:",
            "python:os:system", "oip:http://h/v2/models/%00",
        ],
    )  # fmt: skip
    def test_what_is_none_is_refused_with_an_example(self, text):
        with pytest.raises(UsageError) as error:
            parse_target(text)
        assert error.value.hint

    def test_python_is_refused_and_a_typing_error_understood(self):
        with pytest.raises(UsageError, match="no target of the command line"):
            parse_target("python:module:callable")
        with pytest.raises(UnknownNameError, match="Did you mean digits"):
            parse_target("reference:digit")

    @given(st.text(max_size=40))
    @settings(max_examples=60, deadline=None)
    def test_any_text_is_a_target_or_a_usage_error(self, text):
        for kind in ("", "oip:http://", "tf:http://h/v1/models/", "chat:http://h#", "mlflow:http://h:"):
            try:
                spec = parse_target(kind + text)
            except UsageError:
                continue
            assert spec.model or spec.file

    def test_what_is_missing_is_said_before_anything_is_sent(self):
        for text, word in (
            ("reference:digits", "not served yet"),
            ("template:f.yaml", "has not been read"),
            ("tf:http://127.0.0.1:9/v1/models/numbers", "how many classes"),
        ):
            with pytest.raises(UsageError, match=word):
                connect(parse_target(text), signed(), "online-evasion")


class TestReading:
    def test_words_are_numbered_as_they_come(self):
        reading = Reading(3)
        assert [reading.label(word) for word in ("Cat", "dog", "cat ", "bird")] == [0, 1, 0, 2]
        with pytest.raises(ValueError, match="none of the classes cat, dog, bird"):
            reading.label("fish")

    @pytest.mark.parametrize(
        ("value", "label", "scores"),
        [
            (1, 1, None), ("B", 1, None), (1.0, None, [0.0, 1.0]), ([0.25], None, [0.75, 0.25]),
            ([0.9, 0.1], None, [0.9, 0.1]), ({"label": "b", "scores": [0.4, 0.6]}, 1, [0.4, 0.6]),
            ({"probabilities": {"b": 0.7, "A": 0.3}}, None, [0.3, 0.7]),
        ],
    )  # fmt: skip
    def test_forms_of_an_answer(self, value, label, scores):
        said = Reading(2, ("a", "b")).one(value)
        assert said[0] == label
        assert said[1] is None if scores is None else np.allclose(said[1], scores)

    @pytest.mark.parametrize(
        "value", [None, True, 2, -1, "c", float("nan"), [0.1, 0.2, 0.7], [[0.1, 0.9]] * 2, {"other": 1}, {"text": 3}]
    )
    def test_what_is_none(self, value):
        with pytest.raises((ValueError, TypeError)):
            Reading(2, ("a", "b")).answer([value], 1, want_scores=True)

    def test_a_number_of_answers_that_is_wrong(self):
        for values in ([], [1, 1], {"0": 1}, None):
            with pytest.raises(ValueError, match="not one prediction"):
                Reading(2).answer(values, 1, want_scores=False)
