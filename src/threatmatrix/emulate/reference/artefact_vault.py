"""What an artefact store keeps, as plain files under one folder: accounts, access keys, rights, objects.

``accounts.json`` holds the first three, ``objects/<bucket>/<key>`` (the key percent-encoded) the rest. Every write
replaces a whole file, and equal content gives equal bytes: two states of a store can be compared file by file. A
bucket whose name ends in ``.git`` is a repository of source code: it can be cloned, not written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from threatmatrix.emulate.durable import replace_file
from threatmatrix.model.errors import FormatError, InputError

__all__ = [
    "NOBODY",
    "REPOSITORY",
    "Identity",
    "Vault",
    "allowed_name",
    "code_of",
    "new_vault",
    "secret_of",
    "session_of",
]

REPOSITORY = ".git"
_ROUNDS = 1000  # of a password's hash: those of a reference target guard nothing
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts: an account or a role, and the access key that it came with ("" for a session)."""

    account: str
    role: bool = False
    key_id: str = ""
    rights: Mapping[str, str] | None = None  # of the key, where it has fewer than its account


NOBODY = Identity("")


def secret_of(seed: int) -> bytes:
    """What the session tokens of a store with this seed derive from."""
    return hashlib.sha256(f"threatmatrix artefact store, seed {seed}".encode()).digest()


def session_of(secret: bytes, account: str) -> str:
    """The session token of an account: what a client sends in ``x-api-key`` once it is signed in."""
    return "tms_" + hmac.new(secret, f"session:{account}".encode(), hashlib.sha256).hexdigest()[:40]


def code_of(secret: bytes, account: str) -> str:
    """The code of an account's second factor: here always the same one."""
    return str(int(hmac.new(secret, f"code:{account}".encode(), hashlib.sha256).hexdigest()[:8], 16) % 10**6).zfill(6)


def allowed_name(name: str, *, segments: bool = False) -> bool:
    """Whether a name (of an account, a bucket, with segments of an object) can be one."""
    parts = name.split("/") if segments else [name]
    plain = all(part not in ("", ".", "..") and part.isprintable() for part in parts)
    return plain and len(quote(name, safe="")) <= _LONGEST and ("/" not in name or segments)


def new_vault(
    root: Path,
    *,
    secret: bytes,
    accounts: Mapping[str, tuple[str, Mapping[str, str]]],
    roles: Collection[str] = (),
    second_factor: Collection[str] = (),
    keys: Iterable[tuple[str, str, str, Mapping[str, str] | None]] = (),
    newcomers: Mapping[str, str] | None = None,
    objects: Mapping[str, Mapping[str, bytes]],
) -> Vault:
    """Furnish a folder. ``accounts``: name → (password, rights); rights: bucket, or ``*``, → ``list read write``.

    ``roles``: those that are roles of programs. ``second_factor``: those that need one to sign in.
    ``keys``: (id, secret, account, rights or None for its account's). ``newcomers``: the rights of whoever registers;
    None: registration is closed. ``objects``: bucket → key → content.
    """
    state: dict[str, Any] = {
        "accounts": {
            name: {
                "password": _hash(name, password),
                "rights": dict(rights),
                "role": name in roles,
                "second_factor": name in second_factor,
            }
            for name, (password, rights) in accounts.items()
        },
        "keys": {
            key: {"account": account, "secret": _digest(f"{key}:{hidden}"), "rights": rights and dict(rights)}
            for key, hidden, account, rights in keys
        },
        "newcomers": None if newcomers is None else dict(newcomers),
    }
    for bucket, contents in objects.items():
        folder = root / "objects" / bucket
        folder.mkdir(parents=True, exist_ok=True)
        for key, content in contents.items():
            (folder / _file_name(key)).write_bytes(content)
    (root / "accounts.json").write_bytes(_canonical(state))
    return Vault(root, secret)


class Vault:
    """One store's state. ``secret`` is what session tokens derive from. Raises InputError, FormatError."""

    def __init__(self, root: Path, secret: bytes) -> None:
        self.root = root
        self._secret = secret
        path = root / "accounts.json"
        try:
            self._state: dict[str, Any] = json.loads(path.read_bytes())
        except OSError as error:
            raise InputError(path, f"cannot be read: {error.strerror}", hint="Furnish the store first") from error
        except ValueError as error:
            raise FormatError(path, f"is no JSON: {error}") from error
        self._sessions = {session_of(secret, name): name for name in self._state["accounts"]}

    # who

    def identity(self, credential: str) -> Identity | None:
        """Who has this session token or ``id:secret``; nobody for "", None for one that is not valid."""
        if not credential:
            return NOBODY
        account = self._sessions.get(credential)
        if account is not None:
            return Identity(account, self._state["accounts"][account]["role"])
        key_id = credential.partition(":")[0]
        key = self._state["keys"].get(key_id)
        if key is None or not hmac.compare_digest(key["secret"], _digest(credential)):
            return None
        owner = self._state["accounts"].get(key["account"])
        return owner and Identity(key["account"], owner["role"], key_id, key["rights"])

    def may(self, who: Identity, bucket: str, what: str) -> bool:
        """``what``: list, read or write."""
        account = self._state["accounts"].get(who.account)
        rights = who.rights if who.rights is not None else account["rights"] if account else {}
        return what in rights.get(bucket, rights.get("*", "")).split()

    def check(self, account: str, password: str) -> bool:
        """Whether there is such an account with this password."""
        entry = self._state["accounts"].get(account)
        return entry is not None and hmac.compare_digest(entry["password"], _hash(account, password))

    def second_factor(self, account: str) -> str:
        """The code that an account needs beside its password; "" for none."""
        entry = self._state["accounts"].get(account)
        return code_of(self._secret, account) if entry is not None and entry["second_factor"] else ""

    @property
    def open_registration(self) -> bool:
        return self._state["newcomers"] is not None

    def register(self, account: str, password: str) -> bool:
        """Make an account with a newcomer's rights; False where the name is taken or cannot be one."""
        if account in self._state["accounts"] or not allowed_name(account):
            return False
        rights = dict(self._state["newcomers"])
        entry = {"password": _hash(account, password), "rights": rights, "role": False, "second_factor": False}
        self._state["accounts"][account] = entry
        self._sessions[session_of(self._secret, account)] = account
        self._save()
        return True

    def close(self, account: str) -> None:
        """Remove an account and its keys."""
        del self._state["accounts"][account]
        self._sessions.pop(session_of(self._secret, account), None)
        self._state["keys"] = {k: v for k, v in self._state["keys"].items() if v["account"] != account}
        self._save()

    def keys(self, account: str) -> list[str]:
        """Ids of an account's access keys."""
        return sorted(key for key, entry in self._state["keys"].items() if entry["account"] == account)

    def make_key(self, account: str) -> tuple[str, str]:
        """A new key for an account: (id, secret)."""
        number = 0
        while True:
            made = hmac.new(self._secret, f"key:{account}:{number}".encode(), hashlib.sha256).hexdigest().upper()
            if (key_id := "AKIA" + made[:16]) not in self._state["keys"]:
                break
            number += 1
        hidden = made[16:56].lower()
        self._state["keys"][key_id] = {"account": account, "secret": _digest(f"{key_id}:{hidden}"), "rights": None}
        self._save()
        return key_id, hidden

    def drop_key(self, key_id: str) -> None:
        """Remove a key; nothing where there is none."""
        if self._state["keys"].pop(key_id, None) is not None:
            self._save()

    # what

    def buckets(self) -> list[str]:
        return sorted(path.name for path in (self.root / "objects").iterdir() if path.is_dir())

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Key → content of all that lies in a bucket, by name; empty for no bucket."""
        folder = self.root / "objects" / bucket
        if not allowed_name(bucket) or not folder.is_dir():
            return {}
        found = {unquote(p.name): p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}
        return dict(sorted(found.items()))

    def read(self, bucket: str, key: str) -> bytes | None:
        path = self._path(bucket, key)
        return path.read_bytes() if path is not None and path.is_file() else None

    def takes(self, bucket: str, key: str) -> bool:
        """Whether there is such a bucket, and the key can be one."""
        path = self._path(bucket, key)
        return path is not None and path.parent.is_dir()

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Only where it :meth:`takes` that."""
        path = self._path(bucket, key)
        if path is not None:
            replace_file(path, content, mode=0o644)

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object; nothing where there is none."""
        path = self._path(bucket, key)
        if path is not None:
            path.unlink(missing_ok=True)

    def _path(self, bucket: str, key: str) -> Path | None:
        fits = allowed_name(bucket) and allowed_name(key, segments=True)
        return self.root / "objects" / bucket / _file_name(key) if fits else None

    def _save(self) -> None:
        replace_file(self.root / "accounts.json", _canonical(self._state), mode=0o644)


def _file_name(key: str) -> str:
    """A file that begins with a dot is one that is being written."""
    name = quote(key, safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _canonical(state: Mapping[str, Any]) -> bytes:
    return json.dumps(state, sort_keys=True, indent=1).encode() + b"\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(account: str, password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), account.encode(), _ROUNDS).hex()
