"""The artefact store: who may do what, what its logs say, and what comes out of them as events."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate.store_world import D, ask, config_of, furnished, rows, small_model, tree

from threatmatrix.emulate.artefacts import read_table, read_weights, write_npz, write_table, write_weights
from threatmatrix.emulate.reference.artefact_contents import furnish
from threatmatrix.emulate.reference.artefact_staff import honest_staff
from threatmatrix.emulate.reference.artefact_store import principals, store_app
from threatmatrix.emulate.reference.artefact_vault import allowed_name
from threatmatrix.emulate.stage import Samples
from threatmatrix.gateway.asgi import Gateway
from threatmatrix.gateway.config import GatewayConfig, header_clock
from threatmatrix.model.errors import InputError, UnknownNameError, UsageError
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.following.file import FileFollower
from threatmatrix.telemetry.following.parsing import EventFollower

AT = 1_767_600_000_123_456
HEADERS = {"x-forwarded-for": "203.0.113.66", "x-event-time": str(AT), "user-agent": "curl/8.5"}


def form(account: str, password: str, **more: str) -> bytes:
    return json.dumps({"account": account, "password": password, **more}).encode()


class TestRights:
    @pytest.fixture
    def store(self, tmp_path):
        return furnished("service", tmp_path)

    @pytest.fixture
    def app(self, store, tmp_path):
        return store_app(config_of(store, tmp_path))

    def test_a_password_opens_what_the_account_may_and_a_second_factor_is_asked_for(self, app, store):
        leaked = store.known["credentials"]
        assert ask(app, "POST", "/users/sign_in", form(leaked.account, "guess"))[0] == 401
        status, answer = ask(app, "POST", "/users/sign_in", form(leaked.account, leaked.password))
        assert status == 200
        mine = {"x-api-key": answer["token"]}
        assert ask(app, "GET", "/storage", headers=mine)[1] == {"buckets": ["datasets", "models", "scratch"]}
        assert ask(app, "PUT", "/storage/models/x", b"1", mine)[0] == 403
        assert ask(app, "PUT", "/storage/scratch/x", b"1", mine)[0] == 200
        name, (password, code) = next(iter(store.people.items()))
        assert ask(app, "POST", "/users/sign_in", form(name, password))[0] == 401
        assert ask(app, "POST", "/users/sign_in", form(name, password, code=code))[0] == 200

    def test_an_object_that_one_may_not_read_looks_like_one_that_is_not_there(self, app):
        for path in ("/storage/models/digits/3/model.safetensors", "/storage/models/nothing", "/storage/nowhere/x"):
            assert ask(app, "GET", path)[0] == 403
            assert ask(app, "GET", path, headers={"x-api-key": "AKIA0:wrong"})[0] == 403
        assert ask(app, "GET", "/storage")[0] == 403

    def test_objects_are_listed_read_written_and_removed(self, app, store):
        owner = {"x-api-key": store.owner}
        path = "/storage/scratch/a b/ü.bin"
        assert ask(app, "PUT", path, b"\x00\xff", owner)[0] == 200
        assert ask(app, "GET", path, headers=owner) == (200, b"\x00\xff")
        listed = {o["key"]: o["digest"] for o in ask(app, "GET", "/storage/scratch", headers=owner)[1]["objects"]}
        assert listed["a b/ü.bin"] == hashlib.sha256(b"\x00\xff").hexdigest()
        assert ask(app, "DELETE", path, headers=owner)[0] == 200
        assert ask(app, "GET", path, headers=owner)[0] == 404
        assert ask(app, "PUT", "/storage/nowhere/x", b"", owner)[0] == 404

    def test_no_name_leads_out_of_the_folder(self, app, store, tmp_path):
        before = tree(tmp_path)
        owner = {"x-api-key": store.owner}
        for key in ("../../x", "a/../../../x", "..", ".", "/x", "a//b", "x\x00y", "n" * 300):
            assert ask(app, "PUT", f"/storage/scratch/{key}", b"out", owner)[0] in (404, 405)
            assert ask(app, "GET", f"/storage/../root/{key}", headers=owner)[0] in (404, 405)
        after = tree(tmp_path)
        assert {name for name in after if after[name] != before.get(name)} == {"audit.jsonl"}
        assert [allowed_name(name) for name in ("..", ".env", "a/b")] == [False, True, False]

    def test_half_an_object_is_not_stored(self, app, store, tmp_path):
        before = tree(tmp_path / "root")
        status, _ = ask(app, "PUT", "/storage/scratch/x", b"ha", {"x-api-key": store.owner}, whole=False)
        assert (status, tree(tmp_path / "root")) == (413, before)

    def test_what_it_cannot_understand_is_answered_and_changes_nothing(self, app, tmp_path):
        before = tree(tmp_path / "root")
        for method, path, body in (
            ("POST", "/users/sign_in", b"[]"), ("POST", "/users/sign_in", b"{"),
            ("POST", "/users/close", form("a", "b")),
            ("POST", "/users/sign_up", form("a", "b")), ("GET", "/users/sign_in", b""), ("POST", "/code/x", b""),
            ("PATCH", "/storage/models/x", b""), ("GET", "/", b""), ("POST", "/users/keys", b""),
        ):  # fmt: skip
            assert 400 <= ask(app, method, path, body)[0] < 500
        assert tree(tmp_path / "root") == before

    def test_keys_are_made_and_dropped_by_their_account_alone(self, app, store, tmp_path):
        before = tree(tmp_path / "root")
        leaked = store.known["credentials"]
        token = ask(app, "POST", "/users/sign_in", form(leaked.account, leaked.password))[1]["token"]
        made = ask(app, "POST", "/users/keys", headers={"x-api-key": token})[1]
        key = {"x-api-key": f"{made['id']}:{made['secret']}"}
        assert ask(app, "GET", "/users/keys", headers=key)[1] == {"keys": [made["id"]]}
        other = store.owner.partition(":")[0]
        assert ask(app, "DELETE", f"/users/keys/{other}", headers=key)[0] == 404
        assert ask(app, "DELETE", f"/users/keys/{made['id']}", headers=key)[0] == 200
        assert ask(app, "GET", "/storage", headers=key)[0] == 403
        assert tree(tmp_path / "root") == before


class TestLogs:
    def test_a_follower_sees_each_call_as_an_event_before_its_answer(self, tmp_path):
        store = furnished("recognition", tmp_path)
        app = store_app(config_of(store, tmp_path))
        follower = EventFollower(
            FileFollower(tmp_path / "audit.jsonl", grace=0, look_every=0), DeadLetterFile(tmp_path / "dead")
        )
        seen = []

        def call(method: str, path: str, body: bytes = b"", key: str = "") -> object:
            answer = ask(app, method, path, body, HEADERS | ({"x-api-key": key} if key else {}))[1]
            (event,) = follower.read_new()
            assert (event.time, event.src_ip, event.user_agent) == (AT, "203.0.113.66", "curl/8.5")
            seen.append((event.category, event.operation, event.outcome, event.object))
            return answer

        token = call("POST", "/users/sign_up", form("mallory", "pw"))["token"]
        call("POST", "/code/recognition.git/git-upload-pack", key=token)
        call("GET", "/storage/recordings", key=token)
        call("GET", "/storage/scratch/README.md", key=store.owner)
        call("PUT", "/storage/scratch/x", b"123", key=store.owner)
        call("DELETE", "/storage/scratch/x", key=store.owner)
        call("POST", "/users/sign_in", form("mallory", "wrong"))
        call("POST", "/users/sign_in", form("mallory", "pw"))
        call("POST", "/users/keys", key=token)
        call("GET", "/storage/scratch/README.md", key="AKIA0:0")
        follower.close()
        assert seen == [
            ("api_activity", "SignUp", "success", "mallory"),
            ("api_activity", "GitPull", "success", "recognition"),
            ("artifact_access", "ListObjectsV2", "failure", "recordings"),
            ("artifact_access", "GetObject", "success", "scratch/README.md"),
            ("artifact_access", "PutObject", "success", "scratch/x"),
            ("artifact_access", "DeleteObject", "success", "scratch/x"),
            ("authentication", "ConsoleLogin", "failure", "no mfa"),
            ("authentication", "ConsoleLogin", "success", "no mfa"),
            ("api_activity", "CreateAccessKey", "success", "mallory"),
            ("artifact_access", "GetObject", "failure", "scratch/README.md"),
        ]
        assert not (tmp_path / "dead").exists() or not (tmp_path / "dead").read_text()

    def test_the_code_hosts_pages_are_in_the_access_log_without_a_user_where_nobody_is_signed_in(self, tmp_path):
        store = furnished("recognition", tmp_path)
        app = store_app(config_of(store, tmp_path))
        token = ask(app, "POST", "/users/sign_up", form("mallory", "pw"), HEADERS)[1]["token"]
        ask(app, "POST", "/code/recognition.git/git-upload-pack", b"", HEADERS | {"x-api-key": token})
        follower = EventFollower(FileFollower(tmp_path / "access.jsonl", grace=0, look_every=0, history=True))
        events = follower.read_new()
        follower.close()
        assert [(e.category, e.method, e.endpoint, e.status, e.principal, e.src_ip) for e in events] == [
            ("http", "POST", "/users/sign_up", 201, None, "203.0.113.66"),
            ("http", "POST", "/code/recognition.git/git-upload-pack", 200, "mallory", "203.0.113.66"),
        ]

    def test_the_gateway_calls_everybody_as_the_audit_log_does(self, tmp_path):
        store = furnished("service", tmp_path)
        config = config_of(store, tmp_path)
        names = principals(config, store.credentials)
        app = store_app(config)
        leaked = store.known["credentials"]
        token = ask(app, "POST", "/users/sign_in", form(leaked.account, leaked.password))[1]["token"]
        for key in (token, store.owner, dict(store.credentials)["ml-train"]):
            ask(app, "GET", "/storage", headers={"x-api-key": key})
        follower = EventFollower(FileFollower(tmp_path / "audit.jsonl", grace=0, look_every=0, history=True))
        told = [event.principal for event in follower.read_new()][1:]
        follower.close()
        keys = (token, store.owner, dict(store.credentials)["ml-train"])
        assert told == [names[hashlib.sha256(key.encode()).hexdigest()] for key in keys]

    def test_a_block_on_the_principal_of_the_audit_log_holds_at_the_gateway_in_front(self, tmp_path):
        store = furnished("service", tmp_path)
        config = config_of(store, tmp_path)
        leaked = store.known["credentials"]
        settings = GatewayConfig(
            system="store", log_path=tmp_path / "gateway.jsonl", policy_path=tmp_path / "policy.json",
            secret=b"s" * 32, accounts=principals(config, store.credentials), clock=header_clock,
        )  # fmt: skip
        app = Gateway(store_app(config), settings)
        token = ask(app, "POST", "/users/sign_in", form(leaked.account, leaked.password), HEADERS)[1]["token"]
        mine = HEADERS | {"x-api-key": token}
        assert ask(app, "GET", "/storage", headers=mine)[0] == 200
        block = {
            "entry_id": "e1", "kind": "block", "principal": f"arn:aws:iam::111122223333:user/{leaked.account}",
            "model": None, "params": {}, "owner": "soc", "reason": "test", "created_at": 0, "expires_at": 2 * AT,
        }  # fmt: skip
        policy = {"version": 1, "published_at": 0, "entries": [block]}
        (tmp_path / "policy.json").write_text(json.dumps(policy))
        assert ask(app, "GET", "/storage", headers=mine)[0] == 403
        assert ask(app, "GET", "/storage", headers=HEADERS | {"x-api-key": store.owner})[0] == 200
        app.close()

    def test_a_restarted_store_goes_on_with_its_log(self, tmp_path):
        store = furnished("service", tmp_path)
        for _ in range(2):
            ask(store_app(config_of(store, tmp_path)), "GET", "/storage", headers={"x-api-key": store.owner})
        lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        assert len({line["eventID"] for line in lines}) == 2


class TestContents:
    def test_the_same_seed_gives_the_same_store_and_the_same_staff(self, tmp_path):
        for kind in ("service", "recognition"):
            first, second = (furnished(kind, tmp_path / kind / name) for name in "ab")
            assert tree(tmp_path / kind / "a") == tree(tmp_path / kind / "b")
            visits = [list(itertools.islice(honest_staff(store, seed=3), 60)) for store in (first, second)]
            assert visits[0] == visits[1]
            assert [visit.at for visit in visits[0]] == sorted(visit.at for visit in visits[0])

    def test_no_honest_request_is_refused(self, tmp_path):
        for kind in ("service", "recognition"):
            store = furnished(kind, tmp_path / kind)
            app = store_app(config_of(store, tmp_path / kind))
            visits = list(itertools.islice(honest_staff(store, seed=1), 100))
            answers = {ask(app, v.method, v.path, v.body, v.headers)[0] for v in visits}
            assert answers == {200}
            assert {"GET", "POST", "PUT"} == {visit.method for visit in visits}
            assert "x-api-key" not in next(v for v in visits if v.path == "/users/sign_in").headers

    def test_an_unknown_furnishing_and_an_empty_folder_are_refused(self, tmp_path):
        with pytest.raises(UnknownNameError):
            furnish("palace", tmp_path, seed=1, model=small_model(), training=rows(3))
        with pytest.raises(InputError, match="Furnish"):
            store_app({"root": str(tmp_path), "seed": 1})


class TestFiles:
    def test_weights_and_tables_come_back_bit_by_bit(self):
        model, table = small_model(), rows(5)
        for content in (write_weights(model), write_npz(model)):
            again = read_weights(content)
            assert all(np.array_equal(a, b) for a, b in zip(again.weights, model.weights, strict=True))
        read = read_table(write_table(Samples(table.x / 3, table.y)))
        assert np.array_equal(read.x, table.x / 3)
        assert np.array_equal(read.y, table.y)
        assert read.x.shape[1] == D

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"PK\x03\x04",
            b"\xff" * 9,
            (2).to_bytes(8, "little") + b"{}",
            b"\x80\x04K\x01.",
            b"label,a\n1,x\n",
            b"x",
        ],
    )
    def test_anything_else_is_refused(self, content):
        with pytest.raises(UsageError):
            read_weights(content)
        with pytest.raises(UsageError):
            read_table(content)

    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from([write_weights, write_npz]), st.data())
    def test_a_damaged_file_is_read_or_refused_and_nothing_else(self, write, data):
        content = bytearray(write(small_model()))
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        cut = bytes(content[: data.draw(st.integers(0, len(content)))])
        for damaged in (bytes(content), cut):
            for read in (read_weights, read_table):
                with suppress(UsageError):
                    read(damaged)

    @pytest.mark.parametrize("header", [b"[]", b'{"w0": 1}', b'{"w0": {"data_offsets": "ab"}}', b"[" * 5000])
    def test_a_header_that_is_none_is_refused(self, header):
        with pytest.raises(UsageError):
            read_weights(len(header).to_bytes(8, "little") + header)

    def test_a_small_file_that_unpacks_into_a_large_one_is_refused(self):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("w0.npy", b"")
            archive.filelist[0].file_size = 2**31  # what it says of itself is believed before it is unpacked
        with pytest.raises(UsageError, match="larger"):
            read_weights(file.getvalue())

    def test_a_tensor_that_lies_outside_the_file_is_refused(self):
        header = json.dumps({"w0": {"dtype": "F64", "shape": [1, 1], "data_offsets": [0, 8]}}).encode()
        with pytest.raises(UsageError, match="outside"):
            read_weights(len(header).to_bytes(8, "little") + header)
