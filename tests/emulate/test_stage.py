"""What a step finds in its hands: by name and kind, samples as their inputs, or an error that says what is there."""

from __future__ import annotations

import numpy as np
import pytest
from tests.emulate.helpers import half_space, inputs

from threatmatrix.emulate.stage import Samples, Stage
from threatmatrix.emulate.target import texts
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.errors import UsageError


def stage(**held: object) -> Stage:
    x, y = inputs(2)
    target = InProcessTarget(half_space())
    rng = np.random.default_rng(0)
    return Stage(target=target, judge=target, samples=Samples(x, y), rng=rng, params={}, budget=1, held=held)


def test_a_file_of_samples_stands_for_its_inputs() -> None:
    words = Samples(texts(["a", "b"]), np.array([0, 1]))
    held = stage(public=words, numbers=np.arange(3))
    assert held.take("public", Samples) is words
    assert held.take("public", np.ndarray).tolist() == ["a", "b"]
    assert held.take("public", tuple) == ("a", "b")
    assert held.take("numbers", np.ndarray).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("name", "kind"), [("none", np.ndarray), ("taught", np.ndarray), ("taught", Samples)])
def test_what_is_missing_or_of_another_kind_is_said_with_what_is_there(name: str, kind: type) -> None:
    with pytest.raises(UsageError, match=rf"needs '{name}' .*held is: taught \(int\)"):
        stage(taught=3).take(name, kind)


def test_nobody_teaches_or_stores_where_there_is_nothing_to() -> None:
    with pytest.raises(UsageError, match="takes no feedback"):
        stage().teaching()
    with pytest.raises(UsageError, match="artefact store"):
        stage().storing()
