"""An artefact store with accounts as a target to attack: a code host and an object storage under one roof.

::

    furnished = furnish("service", root, seed=1, …)      # reference/artefact_contents.py
    app = store_app({**furnished.config, "audit_log": "audit.jsonl", "access_log": "access.jsonl"})

It is served like every reference target, in a process of its own, best inside our gateway, which then enforces blocks:
whoever acts says so in ``x-api-key``, by a session token or ``<id of an access key>:<its secret>``, and
:func:`principals` names both as the audit log does. ``config`` is plain JSON:

==============  ===================================================================================================
root            the folder that :func:`~.artefact_contents.furnish` has filled; changed as clients change the store
seed            of session tokens and of the numbers in the logs
tenant          twelve digits: the account in whose name the logs are
audit_log       path; source ``cloudtrail``: ConsoleLogin, SignUp, ListBuckets, ListObjectsV2, GetObject, PutObject,
                DeleteObject, CreateAccessKey, DeleteAccessKey, GitPull, DeleteUser. "" or absent: none
access_log      path; source ``nginx``: the code host's pages (registration, login, clone)
replayed        true: event time is what ``x-event-time`` says (µs), the caller's address what ``x-forwarded-for`` says
==============  ===================================================================================================

==========================================  =======================================================================
POST /users/sign_up {account, password}     201 {token}; 403 where registration is closed, 409 where the name is taken
POST /users/sign_in {account, password}     200 {token}; 401. Who needs a second factor sends its ``code`` too
POST /users/close {account, password}       200; 404 where there is no such account with this password
GET, POST /users/keys; DELETE /users/keys/  ids of the caller's access keys; a new one {id, secret}; remove one
POST /code/<name>.git/git-upload-pack       a clone: {files: {path: base64}}
GET /storage; GET /storage/<bucket>         the buckets that the caller may list; [{key, size, digest}]
GET, PUT, DELETE /storage/<bucket>/<key>    one object; 403 wherever the caller has no right, whether it exists or not
==========================================  =======================================================================
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threatmatrix.emulate.reference.artefact_audit import TENANT, Asked, Audit, principals
from threatmatrix.emulate.reference.artefact_vault import NOBODY, REPOSITORY, Identity, Vault, secret_of, session_of

__all__ = ["principals", "store_app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY = 16 * 2**20


def store_app(config: Mapping[str, Any]) -> ASGIApp:
    """The application. Raises InputError where the folder is not furnished."""
    return _Store(config)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: Any = None  # bytes as they are, anything else as JSON


_DENIED = _Answer(403, {"error": "AccessDenied"})
_ABSENT = _Answer(404, {"error": "NoSuchKey"})
_NO_ROUTE = _Answer(404, {"error": "no such route"})
_BAD = _Answer(400, {"error": "not a request that is understood"})


@dataclass(frozen=True, slots=True)
class _Form:
    account: str
    password: str
    code: str


@dataclass(frozen=True, slots=True)
class _Call:
    asked: Asked
    who: Identity | None
    body: bytes


class _Store:
    def __init__(self, config: Mapping[str, Any]) -> None:
        seed = int(config["seed"])
        self._vault = Vault(Path(config["root"]), secret_of(seed))
        self._secret = secret_of(seed)
        self._replayed = bool(config.get("replayed", False))
        trail, access = config.get("audit_log"), config.get("access_log")
        self._audit = Audit(
            Path(trail) if trail else None,
            Path(access) if access else None,
            tenant=str(config.get("tenant", TENANT)),
            seed=seed,
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        answer = _Answer(413, {"error": "no whole body"}) if body is None else self._answer(scope, body)
        whole = isinstance(answer.content, bytes)
        content = answer.content if whole else json.dumps(answer.content, separators=(",", ":")).encode()
        kind = b"application/octet-stream" if whole else b"application/json"
        headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: MutableMapping[str, Any], body: bytes) -> _Answer:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        asked = self._asked(scope, headers, len(body))
        call = _Call(asked, self._vault.identity(headers.get(b"x-api-key", "")), body)
        room, _, rest = asked.path.strip("/").partition("/")
        if room == "users":
            return self._users(call, rest)
        if room == "code":
            return self._code(call, rest)
        if room == "storage":
            return self._storage(call, *_split(rest))
        return _NO_ROUTE

    def _asked(self, scope: MutableMapping[str, Any], headers: Mapping[bytes, str], size: int) -> Asked:
        client = scope.get("client")
        address, at = client[0] if client else "", time.time_ns() // 1000
        if self._replayed:
            address = headers.get(b"x-forwarded-for", "").partition(",")[0].strip() or address
            given = headers.get(b"x-event-time", "")
            at = int(given) if given.isdigit() and len(given) <= 16 else at
        return Asked(
            time=at, method=scope["method"], path=scope["path"], address=address,
            user_agent=headers.get(b"user-agent", ""), size=size,
        )  # fmt: skip

    # accounts

    def _users(self, call: _Call, rest: str) -> _Answer:
        verb, _, key_id = rest.partition("/")
        if verb == "keys":
            return self._keys(call, key_id)
        act = {"sign_up": self._sign_up, "sign_in": self._sign_in, "close": self._close}.get(verb)
        if call.asked.method != "POST" or act is None:
            return _NO_ROUTE
        try:
            given = json.loads(call.body)
            form = _Form(str(given["account"]), str(given["password"]), str(given.get("code", "")))
        except (ValueError, KeyError, TypeError, RecursionError):
            answer = _BAD
        else:
            answer = act(call, form)
        self._page(call, answer)
        return answer

    def _sign_up(self, call: _Call, form: _Form) -> _Answer:
        error = "NotAuthorizedException"
        if self._vault.open_registration:
            error = "" if self._vault.register(form.account, form.password) else "UsernameExistsException"
        self._record(call, "cognito-idp", "SignUp", {"userName": form.account}, error=error)
        if error:
            return _Answer(409 if self._vault.open_registration else 403, {"error": error})
        return self._session(form.account, 201)

    def _sign_in(self, call: _Call, form: _Form) -> _Answer:
        needed = self._vault.second_factor(form.account)
        right = self._vault.check(form.account, form.password) and needed in ("", form.code)
        exists = self._vault.identity(session_of(self._secret, form.account)) is not None
        self._audit.login(call.asked, form.account, success=right, known=exists, second_factor=bool(needed))
        return self._session(form.account, 200) if right else _Answer(401, {"error": "wrong account or password"})

    def _close(self, call: _Call, form: _Form) -> _Answer:
        found = self._vault.check(form.account, form.password)
        self._record(call, "iam", "DeleteUser", {"userName": form.account}, error="" if found else "NoSuchEntity")
        if not found:
            return _ABSENT
        self._vault.close(form.account)
        return _Answer(200, {"closed": form.account})

    def _session(self, account: str, status: int) -> _Answer:
        return _Answer(status, {"token": session_of(self._secret, account)})

    def _keys(self, call: _Call, key_id: str) -> _Answer:
        who, method = call.who, call.asked.method
        if who is None or not who.account:
            return _DENIED
        mine = self._vault.keys(who.account)
        if method == "GET" and not key_id:
            self._record(call, "iam", "ListAccessKeys", {"userName": who.account})
            return _Answer(200, {"keys": mine})
        if method == "POST" and not key_id:
            self._record(call, "iam", "CreateAccessKey", {"userName": who.account})
            made, secret = self._vault.make_key(who.account)
            return _Answer(201, {"id": made, "secret": secret})
        if method == "DELETE" and key_id in mine:
            self._record(call, "iam", "DeleteAccessKey", {"userName": who.account, "accessKeyId": key_id})
            self._vault.drop_key(key_id)
            return _Answer(200, {"dropped": key_id})
        return _ABSENT

    # code and objects

    def _code(self, call: _Call, rest: str) -> _Answer:
        name, _, service = rest.partition("/")
        if service != "git-upload-pack" or call.asked.method != "POST" or not name.endswith(REPOSITORY):
            return _NO_ROUTE
        who = call.who
        may = who is not None and self._vault.may(who, name, "read")
        about = {"repositoryName": name.removesuffix(REPOSITORY)}
        self._record(call, "codecommit", "GitPull", about, error="" if may else "AccessDenied")
        files = {key: base64.b64encode(data).decode() for key, data in self._vault.objects(name).items()} if may else {}
        answer = _Answer(200, {"files": files}) if may else _DENIED
        self._page(call, answer)
        return answer

    def _storage(self, call: _Call, bucket: str, key: str) -> _Answer:
        who, vault, method = call.who or NOBODY, self._vault, call.asked.method
        if not bucket and method == "GET":
            self._record(call, "s3", "ListBuckets", {}, error="" if who.account else "AccessDenied")
            names = [name for name in vault.buckets() if vault.may(who, name, "list")]
            return _Answer(200, {"buckets": names}) if who.account else _DENIED
        if not key and method == "GET":
            may = vault.may(who, bucket, "list")
            self._record(call, "s3", "ListObjectsV2", {"bucketName": bucket}, error="" if may else "AccessDenied")
            return _Answer(200, {"objects": _listing(vault.objects(bucket))}) if may else _DENIED
        operation = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(method)
        if operation is None or not key:
            return _Answer(405, {"error": "not with this method"})
        return self._object(call, who, operation, bucket, key)

    def _object(self, call: _Call, who: Identity, operation: str, bucket: str, key: str) -> _Answer:
        about = {"bucketName": bucket, "key": key}
        writes = operation != "GetObject"
        if bucket.endswith(REPOSITORY) or not self._vault.may(who, bucket, "write" if writes else "read"):
            self._record(call, "s3", operation, about, error="AccessDenied")
            return _DENIED
        there = None if writes else self._vault.read(bucket, key)
        if not writes:
            error, moved = ("", (0, len(there))) if there is not None else ("NoSuchKey", (0, 0))
            self._record(call, "s3", operation, about, error=error, moved=moved)
            return _Answer(200, there) if there is not None else _ABSENT
        known = self._vault.takes(bucket, key)
        self._record(call, "s3", operation, about, error="" if known else "NoSuchBucket", moved=(len(call.body), 0))
        if not known:
            return _ABSENT
        if operation == "DeleteObject":
            self._vault.remove(bucket, key)
        else:
            self._vault.write(bucket, key, call.body)
        return _Answer(200, {})

    def _page(self, call: _Call, answer: _Answer) -> None:
        self._audit.page(call.asked, call.who.account if call.who else "", answer.status, call.asked.path)

    def _record(self, call: _Call, service: str, operation: str, about: Mapping[str, Any], **more: Any) -> None:
        self._audit.call(call.asked, call.who, service, operation, about=about, **more)


def _split(rest: str) -> tuple[str, str]:
    bucket, _, key = rest.partition("/")
    return bucket, key


def _listing(objects: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"key": key, "size": len(content), "digest": hashlib.sha256(content).hexdigest()}
        for key, content in objects.items()
    ]


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large, or the client went away before its end: half an object is none."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body"):
            return b"".join(parts)
