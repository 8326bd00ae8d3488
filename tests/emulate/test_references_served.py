"""Every reference target, served for real: by each protocol it says what its model says."""

from __future__ import annotations

import numpy as np
import pytest
from tests.emulate.helpers import scope

from threatmatrix.emulate.reference import REFERENCES, build_reference
from threatmatrix.emulate.reference.serving import model_app
from threatmatrix.emulate.reference.threaded import served
from threatmatrix.emulate.targets import InProcess, connect, form_of, parse_target, read_form


@pytest.mark.nightly
@pytest.mark.parametrize("name", REFERENCES)
def test_every_protocol_says_the_same(name):
    reference = build_reference(name, 1)
    x, signed, form = reference.attacker.x[:6], scope(models=(name,)), form_of(reference)
    expected = InProcess(reference).ask(x, want_scores=True)
    with served(model_app(reference)) as url:
        oip = parse_target(f"oip:{url}/v2/models/{name}")
        read = read_form(oip, signed, "online-evasion", bounds=form.bounds)
        assert (read.input_shape, read.classes, read.gives_text) == (form.input_shape, form.classes, form.gives_text)
        for spec in (oip, parse_target(f"mlflow:{url}#{name}"), parse_target(f"tf:{url}/v1/models/{name}")):
            with connect(spec, signed, "online-evasion", form=form) as client:
                said = client.ask(x, want_scores=True)
            assert said.labels.tolist() == expected.labels.tolist()
            assert said.texts == expected.texts
            assert (said.scores is None) == (expected.scores is None)
            assert expected.scores is None or np.allclose(said.scores, expected.scores)
        if form.gives_text:
            with connect(parse_target(f"chat:{url}/v1#{name}"), signed, "online-evasion") as client:
                assert client.ask(x).texts == expected.texts
