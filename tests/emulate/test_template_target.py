"""Any HTTP endpoint by a template: what is filled in where, what is read from where, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate import toys
from tests.emulate.helpers import scope

from threatmatrix.emulate.reference.serving import model_app
from threatmatrix.emulate.reference.threaded import served
from threatmatrix.emulate.target import texts
from threatmatrix.emulate.targets import (
    ModelForm,
    TemplateClient,
    TemplateSpec,
)
from threatmatrix.emulate.targets.template import at_pointer
from threatmatrix.model.errors import TargetError, UsageError


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with served(model_app(toys.mail())) as url:
        yield {"mail": url}


def signed(**changes):
    return scope(models=("mail",), **changes)


class TestTemplate:
    def spec(self, at: str, **changes) -> TemplateSpec:
        values = {
            "url": f"{at}/v2/models/mail/infer", "model": "mail", "label_at": "/outputs/0/data/0",
            "form": ModelForm(input_shape=(), classes=2), "scores_at": "/outputs/1/data",
            "body": {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1], "data": ["{{row}}"]}]},
        }  # fmt: skip
        return TemplateSpec(**(values | changes))

    def test_one_row_a_request(self, urls):
        with TemplateClient(self.spec(urls["mail"]), signed(), "online-evasion") as client:
            answer = client.ask(toys.MAILS, want_scores=True)
            expected = toys.Spam().answer(toys.MAILS)
            assert answer.labels.tolist() == expected.labels.tolist()
            assert np.allclose(answer.scores, expected.scores)
            assert client.queries == 5
            assert client.read_metadata() == {}

    def test_all_rows_in_one_request(self, urls):
        spec = self.spec(
            urls["mail"], url=f"{urls['mail']}/v1/models/mail:predict", body={"instances": "{{rows}}"},
            rows_at="/predictions", label_at=None, scores_at="",
        )  # fmt: skip
        with TemplateClient(spec, signed(), "online-evasion", max_queries=5) as client:
            assert client.labels(toys.MAILS).tolist() == [1, 0, 1, 0, 0]

    def test_what_it_must_hold(self, urls):
        def made(**changes):
            return TemplateClient(self.spec(urls["mail"], **changes), signed(), "online-evasion")

        with pytest.raises(UsageError, match="must hold either"):
            made(body={"text": "no placeholder"})
        with pytest.raises(UsageError, match="must hold either"):
            made(body=["{{row}}", "{{rows}}"])
        with pytest.raises(UsageError, match="nowhere to find"):
            made(label_at=None, scores_at=None)
        with pytest.raises(UsageError, match="user-agent, which the client sets"):
            made(headers=(("User-Agent", "none"),))
        with pytest.raises(UsageError, match="placeholder in its host"):
            made(url="http://{{row}}/")
        with pytest.raises(TargetError, match="nothing at /outputs/7"), made(label_at="/outputs/7") as client:
            client.labels(toys.MAILS[:1])

    def test_rows_in_the_url_and_in_forms_are_escaped_and_scores_scaled(self):
        seen: list[tuple[str, bytes, bytes]] = []

        async def app(scope, receive, send):
            body = (await receive()).get("body", b"")
            seen.append((scope["method"], scope["raw_path"] + b"?" + scope["query_string"], body))
            said = json.dumps({"verdict": "Spam", "score": 500}).encode()
            headers = [(b"content-length", str(len(said)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": said})

        form = ModelForm(input_shape=(), classes=2, class_names=("ham", "spam"))
        with served(app) as url:
            spec = TemplateSpec(
                url=f"{url}/check?of={{{{row}}}}&k=1", model="mail", form=form, method="GET", label_at="/verdict",
                scores_at="/score", scale=(1.0, 999.0),
            )  # fmt: skip
            with TemplateClient(spec, signed(), "online-evasion") as client:
                answer = client.ask(texts(["a b&c=/ü"]), want_scores=True)
            assert answer.labels.tolist() == [1]
            assert np.allclose(answer.scores, [[0.5, 0.5]])
            spec = TemplateSpec(
                url=f"{url}/check", model="mail", form=form, encoding="form", label_at="/verdict",
                body={"text": "From: {{row}}", "n": 3},
            )  # fmt: skip
            with TemplateClient(spec, signed(), "online-evasion") as client:
                client.labels(texts(["{{row}} a=1&b"]))
        assert seen[0] == ("GET", b"/check?of=a%20b%26c%3D%2F%C3%BC&k=1", b"")
        assert seen[1] == ("POST", b"/check?", b"text=From%3A+%7B%7Brow%7D%7D+a%3D1%26b&n=3")

    @given(
        st.dictionaries(st.text(max_size=4), st.integers() | st.dictionaries(st.text("~/01a"), st.text(), max_size=2))
    )
    @settings(max_examples=40, deadline=None)
    def test_a_pointer_finds_what_is_there(self, content):
        def walk(value, pointer):
            assert at_pointer(content, pointer) == value
            for key in value if isinstance(value, dict) else ():
                walk(value[key], f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")

        walk(content, "")
        with pytest.raises(ValueError, match="nothing at"):
            at_pointer(content, "/\x00absent/0")
