"""Every adapter against the reference server of its protocol over real HTTP, and specs, templates, in-process ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from tests.emulate import toys
from tests.emulate.helpers import half_space, inputs, procedure, scope

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.offer import ScoredModel
from threatmatrix.emulate.reference.serving import model_app
from threatmatrix.emulate.reference.threaded import served
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.target import Answer, texts
from threatmatrix.emulate.targets import (
    InProcess,
    InProcessFunction,
    MLflowClient,
    ModelForm,
    OIPClient,
    TFServingClient,
    connect,
    form_of,
    parse_target,
    read_form,
)
from threatmatrix.model.errors import BudgetExhausted, TargetError, UsageError

MODELS = ("numbers", "mail", "files", "echo", "moods", "votes")


def numbers() -> Reference:
    x, _ = inputs(5)
    return toys.toy("numbers", ScoredModel(half_space()), x, ("low", "high"), modality="vector")


@pytest.fixture(scope="module")
def references() -> dict[str, Reference]:
    made = [numbers(), toys.mail(), toys.files(), toys.echo(), toys.moods(), toys.votes()]
    return {reference.name: reference for reference in made}


@pytest.fixture(scope="module")
def urls(references: dict[str, Reference]) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(served(model_app(made))) for name, made in references.items()}


def signed(**changes):
    return scope(models=(*MODELS, "mlflow"), **changes)


def specs(url: str, name: str) -> list[str]:
    return [f"oip:{url}/v2/models/{name}", f"mlflow:{url}#{name}", f"tf:{url}/v1/models/{name}"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("protocol", range(3), ids=["oip", "mlflow", "tf"])
def test_every_protocol_says_what_the_model_says(references, urls, name, protocol):
    reference = references[name]
    spec = parse_target(specs(urls[name], name)[protocol])
    near = InProcess(reference)
    x = reference.attacker.x
    expected = near.ask(x, want_scores=True)
    with connect(spec, signed(), "online-evasion", form=form_of(reference)) as client:
        answer = client.ask(x, want_scores=True)
        assert answer.labels.tolist() == expected.labels.tolist()
        assert answer.texts == expected.texts
        if expected.scores is None:
            assert answer.scores is None
        else:
            assert np.allclose(answer.scores, expected.scores)
        assert client.ask(x).scores is None
        assert client.labels(x[:1]).tolist() == expected.labels[:1].tolist()
        assert client.queries == 2 * len(x) + 1
        if name != "votes":
            assert client.read_metadata()


@pytest.mark.parametrize("name", MODELS)
def test_metadata_tell_the_form(references, urls, name):
    expected = form_of(references[name])
    oip = read_form(parse_target(f"oip:{urls[name]}/v2/models/{name}"), signed(), "online-evasion")
    assert (oip.input_shape, oip.classes, oip.gives_text) == (
        expected.input_shape, expected.classes, expected.gives_text,
    )  # fmt: skip
    assert oip.class_names == expected.class_names
    tf = parse_target(f"tf:{urls[name]}/v1/models/{name}")
    if references[name].model.answer(references[name].calibration[:1]).scores is not None:
        assert read_form(tf, signed(), "online-evasion").classes == expected.classes
    elif name != "echo":
        with pytest.raises(UsageError, match="how many classes"):
            read_form(tf, signed(), "online-evasion")
    with pytest.raises(UsageError, match="does not tell"):
        read_form(parse_target(f"mlflow:{urls[name]}#{name}"), signed(), "online-evasion")


def test_a_table_goes_to_mlflow_as_well_as_a_tensor(references, urls):
    x = references["numbers"].attacker.x
    with MLflowClient(
        urls["numbers"], "mlflow", signed(), "online-evasion",
        form=form_of(references["numbers"]), send_as="dataframe_split", columns=tuple(f"c{n}" for n in range(16)),
    ) as client:  # fmt: skip
        assert client.labels(x).tolist() == half_space().labels(x).tolist()
    with MLflowClient(
        urls["mail"], "mail", signed(), "online-evasion", form=form_of(references["mail"]), send_as="dataframe_split"
    ) as client:
        assert client.labels(toys.MAILS).tolist() == [1, 0, 1, 0, 0]


def test_a_chat_has_one_request_for_each_row(references, urls):
    spec = parse_target(f"chat:{urls['echo']}/v1#echo")
    asked: list[int] = []
    with connect(
        spec, signed(), "online-evasion", accounts=AccountPool(("key",)), before_request=asked.append
    ) as client:
        answer = client.ask(texts(["b a", "d c"]), want_scores=True)
        assert (answer.scores, answer.texts) == (None, ("a b", "c d"))
        assert answer.labels.tolist() == [0, 0]
        assert asked == [1, 1]
        assert client.queries == 2
        assert client.read_metadata()["/models"]["data"][0]["id"] == "echo"
        with pytest.raises(UsageError, match="takes texts"):
            client.ask(np.zeros((1, 4)))
    names = ModelForm(input_shape=(), classes=2, class_names=("ham", "spam"))
    with connect(spec, signed(), "online-evasion", form=names) as client:
        said = client.labels(texts(["it is SPAM,", "ham or spam", "nothing", "hamster", "Ham"]))
        assert said.tolist() == [1, 2, 2, 2, 0]
        assert client.classes == 3


def test_a_chat_does_not_begin_what_it_cannot_pay(urls):
    with connect(parse_target(f"chat:{urls['echo']}/v1#echo"), signed(), "online-evasion", max_queries=2) as client:
        with pytest.raises(BudgetExhausted):
            client.ask(texts(["a", "b", "c"]))
        assert client.queries == 0


class TestFeedback:
    def test_it_is_in_the_name_of_each_account_and_can_be_taken_back(self, urls, references):
        model = references["votes"].model
        rows, yes = np.eye(4)[:2], np.array([1, 1])
        pool = AccountPool(("first", "second"), round_robin=True)
        kwargs = {"input_shape": (4,), "classes": 2, "accounts": pool}
        with OIPClient(urls["votes"], "votes", signed(), "online-evasion", **kwargs) as client:
            client.teach(rows, yes)
            client.teach(rows[:1], yes[:1])
            assert client.labels(np.eye(4)).tolist() == [1, 1, 0, 0]
            users = {user for user, _, _ in model.said}
            assert users == {hashlib.sha256(key).hexdigest() for key in (b"first", b"second")}
            with pytest.raises(TargetError, match="negative"):
                client.teach(-rows, yes)
            assert client.forget() == 3
            assert client.forget() == 0
        assert model.said == []

    def test_forgetting_is_not_held_back_by_a_budget(self, urls, references):
        kwargs = {"input_shape": (4,), "classes": 2, "max_queries": 2}
        with OIPClient(urls["votes"], "votes", signed(), "online-evasion", **kwargs) as client:
            client.teach(np.eye(4)[:2], np.array([1, 1]))
            with pytest.raises(BudgetExhausted):
                client.teach(np.eye(4)[:1], np.array([1]))
            assert client.forget() == 2
            assert client.queries == 3

    def test_in_process_it_is_the_same(self, references):
        target = InProcess(toys.votes(), accounts=AccountPool(("first",)), max_queries=4)
        target.teach(np.eye(4)[:2], np.array([1, 1]))
        assert target.labels(np.eye(4)[:2]).tolist() == [1, 1]
        with pytest.raises(BudgetExhausted):
            target.teach(np.eye(4)[:1], np.array([1]))
        assert target.forget() == 2
        with pytest.raises(UsageError, match="no feedback"):
            InProcess(references["mail"]).teach(toys.MAILS, np.zeros(5))
        with pytest.raises(TargetError, match="HTTP 400"):
            InProcess(references["mail"]).labels(toys.FILES)


def test_addresses_go_along_with_accounts(references):
    seen: list[dict[bytes, bytes]] = []
    inner = model_app(references["numbers"])

    async def app(scope, receive, send):
        seen.append(dict(scope["headers"]))
        await inner(scope, receive, send)

    x = references["numbers"].attacker.x
    homes = {"a": "198.51.100.7", "b": ""}
    with (
        served(app) as url,
        connect(
            parse_target(f"oip:{url}/v2/models/numbers"), signed(), "online-evasion", form=form_of(numbers()),
            accounts=AccountPool(("a", "b"), round_robin=True), address=homes.__getitem__,
        ) as client,
    ):  # fmt: skip
        client.labels(x)
        client.labels(x)
    assert [h.get(b"x-forwarded-for") for h in seen] == [None, b"198.51.100.7"]


def test_an_attack_runs_the_same_over_every_protocol(references, urls):
    x, y = inputs(2)
    found = []
    near = InProcess(references["numbers"])
    found.append(run_procedure(procedure("square"), near, x, y, seed=1, confirm_target=near).outcomes)
    for text in specs(urls["numbers"], "numbers"):
        with connect(parse_target(text), signed(), "online-evasion", form=form_of(references["numbers"])) as client:
            result = run_procedure(procedure("square"), client, x, y, seed=1, confirm_target=client)
            found.append(result.outcomes)
    assert found[0] == found[1] == found[2] == found[3]


def test_rows_of_another_shape_are_not_sent(urls, references):
    for text in specs(urls["numbers"], "numbers"):
        with connect(parse_target(text), signed(), "online-evasion", form=form_of(references["numbers"])) as client:
            with pytest.raises(UsageError, match=r"takes rows of shape \[16\], and these are \[3\]"):
                client.labels(np.zeros((2, 3)))
            assert client.queries == 0


def test_a_python_function_is_a_target():
    model = half_space()
    x, y = inputs(3)
    scored = InProcessFunction(model.scores, input_shape=(16,), classes=2)
    labelled = InProcessFunction(model.labels, input_shape=(16,), classes=2)
    assert scored.labels(x).tolist() == labelled.labels(x).tolist() == y.tolist()
    assert np.allclose(scored.scores(x), model.scores(x))
    assert labelled.scores(x) is None
    whole = InProcessFunction(
        lambda rows: Answer(np.zeros(len(rows), np.int64), None, ("a",) * len(rows)), input_shape=(), classes=1
    )
    assert whole.ask(texts(["x"])).texts == ("a",)
    with pytest.raises(TargetError, match="neither scores"):
        InProcessFunction(lambda rows: np.zeros((1, 7)), input_shape=(16,), classes=2).labels(x)


def test_tf_versions_are_in_the_path(urls, references):
    form = form_of(references["numbers"])
    with TFServingClient(urls["numbers"], "numbers", signed(), "online-evasion", form=form, version="1") as client:
        assert len(client.labels(references["numbers"].attacker.x)) == 5
    with (
        TFServingClient(urls["numbers"], "numbers", signed(), "online-evasion", form=form, version="2") as client,
        pytest.raises(TargetError, match="404"),
    ):
        client.labels(references["numbers"].attacker.x)
