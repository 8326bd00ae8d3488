"""A client of the artefact store that keeps to a signed-off scope and hard budgets, like those of the models.

What it speaks: reference/artefact_store.py. Every call is one query; a clone of a repository is one, and its files are
then read from the copy at hand. What undoing needs (``peek`` for the way back, ``restore``, ``close_account``,
``drop_key``) is held back by no budget, but is charged. An object that is not there is an UnknownNameError.

Give it an account pool of one empty key: who acts is decided by ``sign_in``, ``sign_up`` and ``use_key``, and all of it
comes from one address, whatever credential is used.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Unpack
from urllib.parse import quote

from threatmatrix.emulate.target import StoredObject
from threatmatrix.emulate.targets.http import Conduct, HTTPClient
from threatmatrix.model.errors import TargetError, TargetRefused, UnknownNameError
from threatmatrix.model.system import Scope

__all__ = ["REPOSITORY", "StoreClient"]

REPOSITORY = ".git"
_NOT_FOUND, _TAKEN = 404, 409


class StoreClient(HTTPClient):
    """A :class:`~threatmatrix.emulate.undo.Undoable` store behind ``base_url``; ``model`` is its name in the scope."""

    def __init__(self, base_url: str, model: str, scope: Scope, technique: str, **conduct: Unpack[Conduct]) -> None:
        if (given := conduct.get("address")) is not None:
            conduct["address"] = lambda key: given(self.accounts.current)
        super().__init__(base_url, model, scope, technique, **conduct)
        self.account = ""
        self.credential = ""
        self._clones: dict[str, dict[str, bytes]] = {}

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), self.credential)

    def sign_up(self, account: str, password: str) -> bool:
        form = {"account": account, "password": password}
        try:
            status, answer = self._call("POST", "/users/sign_up", form, credential="", expected=(_TAKEN,))
        except TargetRefused as refusal:
            if refusal.status == 403:
                return False
            raise
        return status != _TAKEN and self._take(account, answer)

    def sign_in(self, account: str, password: str) -> bool:
        form = {"account": account, "password": password}
        try:
            _, answer = self._call("POST", "/users/sign_in", form, credential="")
        except TargetRefused as refusal:
            if refusal.status == 401:
                return False
            raise
        return self._take(account, answer)

    def use_key(self, key_id: str, secret: str) -> None:
        self.account, self.credential = key_id, f"{key_id}:{secret}"

    def buckets(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self._part(self._call("GET", "/storage")[1], "buckets", list))

    def objects(self, bucket: str) -> tuple[StoredObject, ...]:
        if bucket.endswith(REPOSITORY):
            return tuple(StoredObject(path, len(data), "") for path, data in self._clone(bucket).items())
        listed = self._part(self._call("GET", f"/storage/{quote(bucket, safe='')}")[1], "objects", list)
        try:
            return tuple(StoredObject(str(o["key"]), int(o["size"]), str(o["digest"])) for o in listed)
        except (KeyError, TypeError, ValueError) as error:
            raise _odd(error) from error

    def get(self, bucket: str, key: str) -> bytes:
        if bucket.endswith(REPOSITORY):
            found = self._clones.get(bucket) or self._clone(bucket)
            if key not in found:
                raise UnknownNameError("object", f"{bucket}/{key}", ())
            return found[key]
        answer = self.send("GET", _path(bucket, key), None, 1, key=self.credential, expected=(_NOT_FOUND,))
        if answer.status == _NOT_FOUND:
            raise UnknownNameError("object", f"{bucket}/{key}", ())
        return answer.body

    def put(self, bucket: str, key: str, content: bytes) -> None:
        path = _path(bucket, key)
        answer = self.send("PUT", path, content, 1, key=self.credential, headers=_BYTES, expected=(_NOT_FOUND,))
        if answer.status == _NOT_FOUND:
            raise UnknownNameError("bucket", bucket, ())

    # what undoing needs

    def peek(self, bucket: str, key: str) -> bytes | None:
        answer = self.send(
            "GET", _path(bucket, key), None, 1, key=self.credential, expected=(_NOT_FOUND,), reverting=True
        )
        return None if answer.status == _NOT_FOUND else answer.body

    def restore(self, bucket: str, key: str, content: bytes | None) -> None:
        method = "DELETE" if content is None else "PUT"
        headers = None if content is None else _BYTES
        self.send(method, _path(bucket, key), content, 1, key=self.credential, headers=headers, reverting=True)

    def close_account(self, account: str, password: str) -> bool:
        form = {"account": account, "password": password}
        status, _ = self._call("POST", "/users/close", form, credential="", expected=(_NOT_FOUND,), reverting=True)
        return status != _NOT_FOUND

    def access_keys(self) -> tuple[str, ...]:
        return tuple(str(key) for key in self._part(self._call("GET", "/users/keys", reverting=True)[1], "keys", list))

    def make_key(self) -> tuple[str, str]:
        answer = self._call("POST", "/users/keys", {})[1]
        return self._part(answer, "id", str), self._part(answer, "secret", str)

    def drop_key(self, key_id: str) -> None:
        path = f"/users/keys/{quote(key_id, safe='')}"
        self.send("DELETE", path, None, 1, key=self.credential, expected=(_NOT_FOUND,), reverting=True)

    def _clone(self, bucket: str) -> dict[str, bytes]:
        _, answer = self._call("POST", f"/code/{quote(bucket, safe='')}/git-upload-pack", {})
        try:
            files = self._part(answer, "files", dict).items()
            self._clones[bucket] = {str(path): base64.b64decode(data, validate=True) for path, data in files}
        except (binascii.Error, TypeError, ValueError) as error:
            raise _odd(error) from error
        return self._clones[bucket]

    def _take(self, account: str, answer: Any) -> bool:
        self.credential = self._part(answer, "token", str)
        self.account = account
        return True

    def _call(
        self,
        method: str,
        path: str,
        form: dict[str, str] | None = None,
        *,
        credential: str | None = None,
        expected: tuple[int, ...] = (),
        reverting: bool = False,
    ) -> tuple[int, Any]:
        """One request and its JSON answer. ``credential`` None: that of whoever is signed in."""
        body = None if form is None else json.dumps(form).encode()
        key = self.credential if credential is None else credential
        answer = self.send(method, path, body, 1, key=key, expected=expected, reverting=reverting)
        try:
            return answer.status, json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise _odd(error) from error

    def _part(self, answer: Any, name: str, kind: type[Any]) -> Any:
        found = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(found, kind):
            raise _odd(f"no {name}")
        return found


_BYTES = {"content-type": "application/octet-stream"}


def _path(bucket: str, key: str) -> str:
    return f"/storage/{quote(bucket, safe='')}/{quote(key)}"


def _odd(why: object) -> TargetError:
    return TargetError(f"the target's answer is not that of an artefact store: {why!s}")
