"""Access: the chains of two case studies against a served store, undone afterwards, byte for byte; and a real kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.emulate.helpers import procedure, scope
from tests.emulate.store_world import config_of, furnished, rows, served, small_model, tree
from tests.emulate.toys import votes

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.lifecycle import Lifecycle
from threatmatrix.emulate.reference.artefact_store import store_app
from threatmatrix.emulate.reference.serving import model_app
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.targets import InProcessTarget, OIPClient
from threatmatrix.emulate.targets.store_client import StoreClient
from threatmatrix.emulate.undo import RecordedStore, undoers
from threatmatrix.model.errors import BudgetExhausted, TargetRefused, UnknownNameError, UsageError
from threatmatrix.model.procedure import ProcedureStep

SCOPE = scope(models=("store", "votes"), techniques=("valid-account",))
SAMPLES = rows(12, seed=5)


def connect(url: str, **conduct) -> StoreClient:
    return StoreClient(url, "store", SCOPE, "valid-account", **conduct)


def step(use: str, **params):
    return procedure(use, steps=(ProcedureStep(use, params),), norm="l2", threshold=0.6, control="same")


def carry_out(use: str, hands: Hands, *, variant: str = "plain", target=None, **params):
    target = target or InProcessTarget(small_model())
    judge = InProcessTarget(small_model())
    return run_procedure(
        step(use, **params), target, SAMPLES.x, SAMPLES.y, seed=1, variant=variant, confirm_target=judge, hands=hands
    )


def confirmed(result) -> float:
    return sum(outcome.confirmed for outcome in result.outcomes) / len(result.outcomes)


class TestService:
    """A valid account → the model's file and its data → offline → live."""

    def test_with_the_stolen_weights_what_works_offline_works_live(self, tmp_path):
        store = furnished("service", tmp_path)
        before = tree(tmp_path / "root")
        with served(store_app(config_of(store, tmp_path))) as url, connect(url) as client:
            hands = Hands(held=dict(store.known), store=client)
            for use in ("valid_account", "read_model_file", "read_training_data"):
                assert confirmed(carry_out(use, hands)) == 1.0
            assert len(hands.held["training_data"]) == 120
            assert np.array_equal(hands.held["stolen_model"].weights[0], small_model().weights[0])
            offline = carry_out("craft_offline", hands)
            assert offline.figures["copy_accuracy"] == 1.0
            assert carry_out("compare_copy", hands, inputs=4).figures == {"agreement": 1.0}
            live = carry_out("replay_crafted", hands)
            assert confirmed(live) == confirmed(offline) > 0.9
            assert live.figures == {"service_error_rate": confirmed(offline), "replay_success": 1.0}
            for use in ("valid_account", "read_model_file", "read_training_data"):
                with connect(url) as other:
                    by_chance = Hands(held=dict(hands.held), store=other)
                    assert confirmed(carry_out(use, by_chance, variant="random-control")) == 0.0
            assert confirmed(carry_out("replay_crafted", hands, variant="random-control")) < confirmed(live) - 0.4
        assert tree(tmp_path / "root") == before

    def test_a_refusal_ends_the_replay_and_what_was_not_reached_is_refused(self, tmp_path):
        hands = Hands(held={"stolen_model": small_model(), "crafted": SAMPLES.x})
        blocked = InProcessTarget(small_model(), refuse=lambda key, count: blocked.queries > 5)
        result = carry_out("replay_crafted", hands, target=blocked)
        assert [outcome.refused for outcome in result.outcomes] == [False] * 5 + [True] * 7

    def test_what_is_missing_is_named(self):
        with pytest.raises(UsageError, match="needs 'stolen_model'"):
            carry_out("craft_offline", Hands())
        with pytest.raises(UsageError, match="has none"):
            carry_out("read_model_file", Hands())


class TestRecognition:
    """Anybody may register → keys beside the code → the storage opens, and can be written."""

    def test_the_key_from_the_code_opens_all_and_what_it_wrote_is_taken_back(self, tmp_path):
        store = furnished("recognition", tmp_path)
        before = tree(tmp_path / "root")
        with (
            served(store_app(config_of(store, tmp_path))) as url,
            connect(url) as client,
            Lifecycle.open(tmp_path / "run") as life,
        ):
            with life.detonation() as journal:
                hands = Hands(store=RecordedStore(client, journal))
                assert confirmed(carry_out("self_registration", hands)) == 1.0
                found = carry_out("harvest_secrets", hands)
                assert (found.figures["secrets_found"], found.figures["keys_that_work"]) == (5.0, 1.0)
                private = carry_out("read_private_objects", hands)
                assert (confirmed(private), any(o.before for o in private.outcomes)) == (1.0, False)
                carry_out("read_training_data", hands, found_key=True)
                flipped = carry_out("flip_labels", hands, share=1.0, hidden=32, epochs=80)
                assert flipped.figures["flipped_label_success"] > 0.6 > flipped.figures["poisoned_accuracy"]
                planted = carry_out("plant_pickle", hands, bucket="models")
                assert planted.figures == {"payloads_stored": 9.0, "payloads_with_calls": 9.0}
                swapped = carry_out("swap_weights", hands, trigger=(0, 5))
                assert swapped.figures["swap_success"] == 1.0
                assert confirmed(carry_out("harvest_secrets", hands, variant="random-control")) == 0.0
                assert confirmed(carry_out("read_private_objects", hands, variant="random-control")) == 0.0
                assert carry_out("plant_pickle", hands, variant="random-control").figures["payloads_stored"] == 0.0
            assert tree(tmp_path / "root") != before
            assert life.clean_up(undoers(store=lambda: client)).done
        assert tree(tmp_path / "root") == before

    def test_a_store_that_refuses_ends_a_walk(self, tmp_path):
        store = furnished("recognition", tmp_path)
        with served(store_app(config_of(store, tmp_path))) as url, connect(url) as client:
            hands = Hands(store=client, held={"own_buckets": ()})
            result = carry_out("read_model_file", hands)
            assert [o.refused for o in result.outcomes] == [True]
            with pytest.raises(TargetRefused):
                client.objects("recordings")
            client.use_key(*store.owner.split(":"))
            with pytest.raises(UnknownNameError):
                client.get("scratch", "nothing")

    def test_a_closed_registration_is_no_way_in(self, tmp_path):
        store = furnished("service", tmp_path)
        with served(store_app(config_of(store, tmp_path))) as url, connect(url) as client:
            assert confirmed(carry_out("self_registration", Hands(store=client))) == 0.0

    def test_the_budget_holds_for_a_store_too_but_not_against_undoing(self, tmp_path):
        store = furnished("service", tmp_path)
        with served(store_app(config_of(store, tmp_path))) as url, connect(url, max_queries=2) as client:
            client.use_key(*store.owner.split(":"))
            client.put("scratch", "x", b"1")
            client.put("scratch", "x", b"2")
            with pytest.raises(BudgetExhausted):
                client.get("scratch", "x")
            client.restore("scratch", "x", None)
            assert client.peek("scratch", "x") is None


CHILD = """
import sys
from pathlib import Path
import numpy as np
from tests.emulate.test_access import connect, voter
from threatmatrix.emulate.lifecycle import Lifecycle
from threatmatrix.emulate.undo import RecordedStore, RecordedTeacher, write_file
store_url, model_url, owner, folder = sys.argv[1:]
life = Lifecycle.open(Path(folder) / "run", procedure="p", target=store_url)
with life.detonation() as journal, connect(store_url) as client, voter(model_url) as taught:
    store, teacher = RecordedStore(client, journal), RecordedTeacher(taught, journal)
    for number in range(10_000):
        store.sign_up(f"fresh-{number}", "p" * 32)
        store.make_key()
        store.use_key(*owner.split(":"))
        store.put("models", "digits/1/model.safetensors", b"poison %d" % number)
        store.put("scratch", f"new-{number}", b"x" * 5000)
        teacher.teach(np.eye(4), np.ones(4, np.int64))
        write_file(journal, Path(folder) / "payload", b"inert %d" % number)
"""


def voter(url: str) -> OIPClient:
    return OIPClient(url, "votes", SCOPE, "valid-account", input_shape=(4,), classes=2)


@pytest.mark.parametrize("lines", [3, 17])
def test_after_a_real_kill_clean_up_leaves_store_and_model_as_they_were(tmp_path, lines):
    store, taught = furnished("recognition", tmp_path), votes()
    taught.model.teach(np.eye(4)[:1], np.zeros(1, np.int64), "honest")
    before, knew = tree(tmp_path / "root"), list(taught.model.said)
    with served(store_app(config_of(store, tmp_path))) as store_url, served(model_app(taught)) as model_url:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, store_url, model_url, store.owner, str(tmp_path)],
            cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        journal = tmp_path / "run" / "journal.jsonl"
        while child.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -9
        assert tree(tmp_path / "root") != before
        with Lifecycle.open(tmp_path / "run") as life:
            assert life.state == "detonating"
            with connect(store_url) as stored, voter(model_url) as voted:
                done = life.clean_up(undoers(store=lambda: stored, teacher=lambda: voted))
            assert (done.done, done.changed, life.state) == (True, (), "clean")
    assert tree(tmp_path / "root") == before
    assert taught.model.said == knew
    assert not list(tmp_path.glob("*payload*"))


def test_the_attacks_are_in_the_list():
    for use in ("valid_account", "self_registration", "harvest_secrets", "flip_labels", "plant_pickle", "swap_weights"):
        assert attack_kind(use).whole is not None
