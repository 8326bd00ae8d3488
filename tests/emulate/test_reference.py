from __future__ import annotations

import asyncio
import itertools
import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import uvicorn
import yaml
from tests.emulate.helpers import half_space, procedure, scope

from threatmatrix.emulate.attacks.base import Setting
from threatmatrix.emulate.attacks.evasion.transfer import TransferParams, pgd
from threatmatrix.emulate.attacks.recon.read_metadata import read_card
from threatmatrix.emulate.confirm import choose_samples
from threatmatrix.emulate.plan import plan_queries
from threatmatrix.emulate.reference import digits
from threatmatrix.emulate.reference.hard_negatives import rescanning_user, static_camera
from threatmatrix.emulate.reference.honest import BATCH_GAP, honest_clients, honest_requests
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.reference.serving import listen, oip_app
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.targets import InProcessTarget, OIPClient
from threatmatrix.model.errors import InputError, UnknownNameError
from threatmatrix.model.procedure import ProcedureStep

LIBRARY = Path(digits.__file__).parents[2] / "library" / "techniques"
OURS = [
    LIBRARY / slug / "procedures" / f"{name}.yaml"
    for slug, name in (
        ("ml-model-discovery", "read-metadata"),
        ("offline-evasion", "transfer"),
        ("online-evasion", "hop-skip-jump"),
        ("online-evasion", "square"),
    )
]
SEED = 5


@pytest.fixture(scope="module")
def splits():
    return digits.load_splits(SEED)


@pytest.fixture(scope="module")
def product(splits):
    return digits.train_product(splits, SEED)


@pytest.fixture(scope="module")
def samples(splits, product):
    chosen = choose_samples(InProcessTarget(product), splits.attacker.x, splits.attacker.y, 30, seed=SEED)
    return splits.attacker.x[chosen], splits.attacker.y[chosen]


def of_library(path: Path):
    raw = yaml.safe_load(path.read_text())
    return procedure(
        raw["steps"][-1]["use"], id=raw["id"], access=raw["access"], modality=raw["modality"],
        steps=tuple(ProcedureStep(step["use"], step.get("params", {})) for step in raw["steps"]),
        control=raw["success"]["control"],
        max_queries=raw["budget"]["max_queries"], norm=raw["success"]["norm"], threshold=raw["success"]["threshold"],
    )  # fmt: skip


class TestSplits:
    def test_they_are_disjoint_and_complete(self, splits):
        parts = [getattr(splits, name) for name in digits.SIZES]
        assert [len(part) for part in parts] == list(digits.SIZES.values())
        images = np.concatenate([part.x for part in parts])
        assert len(images) == len(np.unique(images, axis=0)) == 1797
        assert images.min() == 0
        assert images.max() == 1

    def test_the_seed_decides(self, splits):
        again, other = digits.load_splits(SEED), digits.load_splits(SEED + 1)
        assert np.array_equal(splits.attacker.x, again.attacker.x)
        assert not np.array_equal(splits.attacker.x, other.attacker.x)


class TestModel:
    def test_the_product_is_good_and_training_deterministic(self, splits, product):
        unseen = (splits.calibration, splits.honest, splits.attacker)
        assert digits.accuracy(product, *unseen) >= 0.95
        again = digits.train_product(splits, SEED)
        assert all(np.array_equal(a, b) for a, b in zip(product.weights, again.weights, strict=True))

    def test_the_gradient_is_that_of_the_logits(self, product, splits):
        x = splits.attacker.x[:3]
        upstream = np.random.default_rng(0).normal(size=(3, 10))
        gradient = product.input_gradient(x, upstream)
        step = 1e-6 * np.random.default_rng(1).normal(size=x.shape)
        change = np.sum((product.logits(x + step) - product.logits(x - step)) * upstream / 2)
        assert change == pytest.approx(np.sum(gradient * step), rel=1e-4)

    def test_saved_and_loaded_it_is_the_same(self, product, splits, tmp_path):
        product.save(tmp_path / "m.npz")
        loaded = MLP.load(tmp_path / "m.npz")
        assert np.array_equal(loaded.scores(splits.honest.x), product.scores(splits.honest.x))

    def test_other_files_are_refused_and_never_unpickled(self, tmp_path):
        fired = tmp_path / "fired"

        class Bomb:
            def __reduce__(self):
                return (Path.touch, (fired,))

        (tmp_path / "text.npz").write_text("hello")
        (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
        np.savez(tmp_path / "object.npz", w0=np.array([Bomb()], dtype=object), b0=np.zeros(1))
        np.savez(tmp_path / "shape.npz", w0=np.zeros((2, 3)), b0=np.zeros(4))
        np.savez(tmp_path / "names.npz", a=np.zeros(1), b=np.zeros(1))
        for name in ("text", "pickle", "object", "shape", "names", "missing"):
            with pytest.raises(InputError, match=name):
                MLP.load(tmp_path / f"{name}.npz")
        assert not fired.exists()


class TestOnDigits:
    """The attacks at work, small; docs/emulation.md has the figures of n = 60 and four seeds."""

    def rate(self, product, samples, name, variant="plain", *, sigma=0.0, surrogate=None):
        path = next(p for p in OURS if p.stem == name)
        target, confirm = (InProcessTarget(product, noise_sigma=sigma, seed=s) for s in (1, 2))
        result = run_procedure(
            of_library(path),
            target,
            *samples,
            seed=SEED,
            variant=variant,
            confirm_target=confirm,
            hands=Hands(held={} if surrogate is None else {"surrogate": surrogate}),
        )
        return np.mean([o.confirmed for o in result.outcomes])

    def test_hop_skip_jump_succeeds_and_its_control_does_not(self, product, samples):
        plain = self.rate(product, samples, "hop-skip-jump")
        assert plain >= 0.6
        assert plain - self.rate(product, samples, "hop-skip-jump", "random-control") >= 0.3

    def test_square_beats_its_control(self, product, samples):
        plain = self.rate(product, samples, "square")
        assert plain - self.rate(product, samples, "square", "random-control") >= 0.25

    def test_transfer_beats_its_control(self, product, samples, splits):
        base = digits.train_base(splits, SEED)
        assert self.rate(product, samples, "transfer", surrogate=base) >= 0.5
        assert self.rate(product, samples, "transfer", "random-control", surrogate=base) <= 0.2

    def test_noise_stops_the_plain_attack_but_not_the_adaptive_one(self, product, samples):
        plain = self.rate(product, samples, "hop-skip-jump", sigma=0.1)
        assert plain <= 0.3
        assert self.rate(product, samples, "hop-skip-jump", "adaptive-oars", sigma=0.1) >= plain + 0.2

    @pytest.mark.parametrize("norm", ["l2", "linf"])
    def test_pgd_stays_within_norm_and_bounds(self, product, samples, norm):
        x, y = samples
        setting = Setting(norm, 0.3, (0.0, 1.0), x, y)
        point = pgd(product, x[0], int(y[0]), setting, TransferParams(steps=20))
        size = np.abs(point - x[0]).max() if norm == "linf" else np.linalg.norm(point - x[0])
        assert 0.2 < size <= 0.3
        assert point.min() >= 0
        assert point.max() <= 1


def call(app, method: str, path: str, body: bytes = b"") -> tuple[int, dict]:
    sent = []
    halves = [body[: len(body) // 2], body[len(body) // 2 :]]

    async def receive():
        return {"type": "http.request", "body": halves.pop(0), "more_body": bool(halves)}

    async def send(message):
        sent.append(message)

    asyncio.run(app({"type": "http", "method": method, "path": path}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


class TestServing:
    def request(self, x, **changes):
        tensor = {"name": "input", "shape": list(x.shape), "datatype": "FP64", "data": x.ravel().tolist()}
        return json.dumps({"inputs": [tensor | changes]}).encode()

    def test_it_answers_what_the_model_says(self, product, splits):
        app, x = oip_app("digits", product), splits.honest.x[:3]
        status, answer = call(app, "POST", "/v2/models/digits/infer", self.request(x))
        assert status == 200
        assert [(o["name"], o["datatype"], o["shape"]) for o in answer["outputs"]] == [
            ("label", "INT64", [3]),
            ("scores", "FP64", [3, 10]),
        ]
        assert answer["outputs"][0]["data"] == product.labels(x).tolist()
        assert np.allclose(np.reshape(answer["outputs"][1]["data"], (3, 10)), product.scores(x))
        nested = self.request(x.reshape(3, 8, 8))
        assert call(app, "POST", "/v2/models/digits/versions/1/infer", nested)[1]["outputs"] == answer["outputs"]

    def test_outputs_select(self, splits, product):
        body = json.loads(self.request(splits.honest.x[:1])) | {"outputs": [{"name": "label"}], "id": "7"}
        _, answer = call(oip_app("digits", product), "POST", "/v2/models/digits/infer", json.dumps(body).encode())
        assert [o["name"] for o in answer["outputs"]] == ["label"]
        assert answer["id"] == "7"

    @pytest.mark.parametrize(
        "changes",
        [
            {"shape": [1, 63]},
            {"shape": []},
            {"shape": [0, 64]},
            {"data": "x"},
            {"data": [0.0]},
            {"datatype": "BYTES"},
            {"name": "x"},
        ],
    )
    def test_a_bad_request_is_400(self, product, splits, changes):
        body = self.request(splits.honest.x[:1], **changes)
        assert call(oip_app("digits", product), "POST", "/v2/models/digits/infer", body)[0] == 400
        for raw in (b"", b"[]", b'{"inputs": []}', b'{"inputs": {}}', b"\xff"):
            assert call(oip_app("digits", product), "POST", "/v2/models/digits/infer", raw)[0] == 400

    def test_an_extra_input_is_400(self, product, splits):
        body = json.loads(self.request(splits.honest.x[:1]))
        extra = {"name": "z", "shape": [1], "datatype": "FP64", "data": [0]}
        for inputs in ([*body["inputs"], extra], [extra, *body["inputs"]], body["inputs"] * 2, body["inputs"][0]):
            raw = json.dumps({"inputs": inputs}).encode()
            assert call(oip_app("digits", product), "POST", "/v2/models/digits/infer", raw)[0] == 400

    def test_routes(self):
        app = oip_app("digits", half_space())
        for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/digits", "/v2/models/digits/ready"):
            assert call(app, "GET", path)[0] == 200
        assert call(app, "GET", "/v2/models/digits/infer")[0] == 405
        assert call(app, "POST", "/v2")[0] == 405
        assert call(app, "GET", "/v2/models/other")[0] == 404

    def test_its_metadata_make_a_card(self):
        app = oip_app("digits", half_space())

        class Target(InProcessTarget):
            def read_metadata(self):
                paths = ("/v2", "/v2/models/digits", "/v2/models/digits/ready")
                return {path: call(app, "GET", path)[1] for path in paths}

        card = read_card(Target(half_space()))
        assert card.platform == "numpy_mlp"
        assert card.inputs == (("input", "FP64", (-1, 16)),)
        assert [name for name, _, _ in card.outputs] == ["label", "scores"]

    def test_the_listener_is_on_loopback(self):
        with listen() as listener:
            assert listener.getsockname()[0] == "127.0.0.1"


class TestOverHTTP:
    """The reference target behind a real uvicorn on loopback."""

    @pytest.fixture
    def url(self, product):
        config = uvicorn.Config(oip_app("digits", product), access_log=False, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        with listen() as listener:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True
            thread.join()

    def test_the_result_is_that_of_the_model_itself_and_no_answer_is_delayed(self, url, product, samples):
        x, y = (part[:6] for part in samples)
        proc = of_library(next(p for p in OURS if p.stem == "hop-skip-jump"))
        requests: list[int] = []
        with (
            OIPClient(url, "digits", scope(), "online-evasion", input_shape=(64,), classes=10) as confirm,
            OIPClient(
                url, "digits", scope(), "online-evasion", input_shape=(64,), classes=10, before_request=requests.append
            ) as client,
        ):
            result = run_procedure(proc, client, x, y, seed=SEED, confirm_target=confirm)
        near = InProcessTarget(product)
        local = run_procedure(proc, near, x, y, seed=SEED, confirm_target=near)
        assert result.outcomes == local.outcomes
        assert result.queries == sum(requests) == client.queries
        assert result.correlation == client.correlation
        assert result.seconds / len(requests) < 0.03  # Nagle's delay would make it 0.044


class TestHonestTraffic:
    def test_it_is_deterministic_ordered_and_realistic(self, splits):
        clients = honest_clients(32, len(splits.honest), seed=SEED)
        stream = list(itertools.islice(honest_requests(splits.honest.x, clients, seed=SEED), 2000))
        again = list(itertools.islice(honest_requests(splits.honest.x, clients, seed=SEED), 2000))
        assert [(r.offset_us, r.account) for r in stream] == [(r.offset_us, r.account) for r in again]
        times = [r.offset_us for r in stream]
        assert times == sorted(times)
        assert len({r.account for r in stream}) == 32
        assert all(np.array_equal(r.rows, splits.honest.x[r.index]) for r in stream)
        repeated = 1 - len({r.rows.tobytes() for r in stream}) / len(stream)
        assert repeated > 0.5

    def test_scripts_are_few_and_slow(self, splits):
        clients = honest_clients(32, len(splits.honest), seed=SEED)
        scripted = {c.account for c in clients if c.scripted}
        assert len(scripted) == 3
        stream = list(itertools.islice(honest_requests(splits.honest.x, clients, seed=SEED), 3000))
        for account in scripted:
            own = [r for r in stream if r.account == account]
            assert all(r.user_agent.startswith("python-") and len(r.rows) == 1 for r in own)
            assert np.diff([r.offset_us for r in own]).min() >= BATCH_GAP * 1_000_000
        assert not any("python" in r.user_agent for r in stream if r.account not in scripted)

    def test_hard_negatives_are_near_and_never_identical(self, splits):
        x = splits.honest.x
        camera = [r.rows[0] for r in static_camera(x, 3, frames=20, seed=1)]
        user = [r.rows[0] for r in rescanning_user(x, 3, scans=20, seed=1)]
        for rows in (camera, user):
            assert len(np.unique(rows, axis=0)) == 20
        assert max(np.linalg.norm(row - x[3]) for row in camera) < 0.3
        levels = np.concatenate([(row - x[3]) * 16 for row in user])
        assert np.allclose(levels, np.round(levels))
        assert set(np.round(levels).astype(int)) == {-1, 0, 1}


class TestPlan:
    def test_the_bound_multiplies_out_and_includes_confirmation(self):
        procedures = [of_library(path) for path in OURS]
        plan = plan_queries(procedures, 60, ["plain", "random-control", "adaptive-oars"])
        assert plan.attack == 3 + 3 * 60 * (1 + 600 + 200)
        assert plan.confirmation == 3 * 3 * 60 * 5
        assert plan.total == plan.attack + plan.confirmation
        with pytest.raises(UnknownNameError):
            plan_queries(procedures, 60, ["sneaky"])

    def test_no_run_exceeds_it(self, splits, product):
        path = next(p for p in OURS if p.stem == "square")
        target, confirm = InProcessTarget(product), InProcessTarget(product)
        x, y = splits.attacker.x[:5], splits.attacker.y[:5]
        run_procedure(of_library(path), target, x, y, seed=1, confirm_target=confirm)
        bound = plan_queries([of_library(path)], 5, ["plain"])
        assert target.queries <= bound.attack
        assert confirm.queries <= bound.confirmation
