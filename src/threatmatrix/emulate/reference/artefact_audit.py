"""The two logs of the artefact store: who did what (as AWS CloudTrail writes it), and what the code host served.

Formats: AWS CloudTrail User Guide, record contents (event version 1.11), one record a line; nginx's access log as JSON.
A line is appended whole, by one write, before the answer leaves: whoever follows the file never sees half a record.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threatmatrix.emulate.reference.artefact_vault import Identity, secret_of, session_of

__all__ = ["TENANT", "Asked", "Audit", "arn_of", "principals"]

TENANT = "111122223333"
_REGION = "eu-west-1"
_SERVER = "artefacts.example"
_READS = ("Get", "List", "Head")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as the logs need it. ``time``: µs."""

    time: int
    method: str
    path: str
    address: str
    user_agent: str
    size: int


def arn_of(tenant: str, account: str, *, role: bool = False) -> str:
    """The principal by which both logs and the gateway call an account (of a role: without its session)."""
    return f"arn:aws:sts::{tenant}:assumed-role/{account}" if role else f"arn:aws:iam::{tenant}:user/{account}"


def principals(config: Mapping[str, Any], credentials: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """SHA-256 of a credential → its principal in the audit log: the accounts that the gateway before the store needs.

    Sessions of all accounts that the store has now, and each further (account, credential): keys, and sessions of
    accounts that will be made (``session_of(secret_of(seed), account)``).
    """
    tenant, secret = str(config.get("tenant", TENANT)), secret_of(int(config["seed"]))
    state = json.loads((Path(config["root"]) / "accounts.json").read_bytes())
    roles = {name for name, entry in state["accounts"].items() if entry["role"]}
    known = [(name, session_of(secret, name)) for name in state["accounts"]]
    return {
        hashlib.sha256(credential.encode()).hexdigest(): arn_of(tenant, name, role=name in roles)
        for name, credential in (*known, *credentials)
    }


class Audit:
    """Appends to the logs; an empty path writes none. Numbers go on where an earlier process stopped."""

    def __init__(self, trail: Path | None, access: Path | None, *, tenant: str, seed: int) -> None:
        self._tenant = tenant
        self._seed = seed
        self._trail, self._access = _Lines(trail), _Lines(access)

    def close(self) -> None:
        self._trail.close()
        self._access.close()

    def call(
        self,
        asked: Asked,
        who: Identity | None,
        service: str,
        operation: str,
        *,
        about: Mapping[str, Any] | None = None,
        error: str = "",
        moved: tuple[int, int] = (0, 0),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """One call. ``who`` None: a credential that is not valid. ``moved``: bytes in and out."""
        name = self._id("trail", self._trail.number)
        record: dict[str, Any] = {
            "eventVersion": "1.11",
            "userIdentity": self._identity(who, asked),
            "eventTime": datetime.fromtimestamp(asked.time / 1e6, UTC).isoformat(timespec="microseconds"),
            "eventSource": f"{service}.amazonaws.com",
            "eventName": operation,
            "awsRegion": _REGION,
            "sourceIPAddress": asked.address,
            "userAgent": asked.user_agent,
            "requestParameters": dict(about or {}),
            "responseElements": None,
            "additionalEventData": {"bytesTransferredIn": moved[0], "bytesTransferredOut": moved[1]},
            "requestID": name[:16].upper(),
            "eventID": name,
            "readOnly": operation.startswith(_READS),
            "eventType": "AwsConsoleSignIn" if service == "signin" else "AwsApiCall",
            "managementEvent": service != "s3",
            "recipientAccountId": self._tenant,
            **(extra or {}),
        }
        if error:
            record["errorCode"] = error
        self._trail.write(record)

    def login(self, asked: Asked, account: str, *, success: bool, known: bool, second_factor: bool) -> None:
        """A sign-in by password. A name that nobody has is not written down."""
        hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"
        identity = {"type": "IAMUser", "accountId": self._tenant, "userName": account if known else hidden}
        if success:
            identity["arn"] = arn_of(self._tenant, account)
        said = {"userIdentity": identity, "responseElements": {"ConsoleLogin": "Success" if success else "Failure"}}
        wrong = {} if success else {"errorMessage": "Failed authentication"}
        how = {"additionalEventData": {"MFAUsed": "Yes" if second_factor else "No"}}
        self.call(asked, None, "signin", "ConsoleLogin", extra=said | wrong | how)

    def page(self, asked: Asked, account: str, status: int, uri: str) -> None:
        """A line of the code host's access log."""
        line = {
            "msec": f"{asked.time / 1e6:.3f}",
            "request_id": self._id("access", self._access.number)[:16],
            "remote_addr": asked.address,
            "remote_user": account,
            "server_name": _SERVER,
            "request_method": asked.method,
            "uri": uri,
            "status": status,
            "request_length": asked.size,
            "http_user_agent": asked.user_agent,
        }
        self._access.write({key: value for key, value in line.items() if value != ""})

    def _identity(self, who: Identity | None, asked: Asked) -> dict[str, Any]:
        if who is None:
            return {"type": "Unknown", "accountId": self._tenant}
        if not who.account:
            return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
        identity = {"accountId": self._tenant, "arn": arn_of(self._tenant, who.account, role=who.role)}
        if who.key_id:
            identity["accessKeyId"] = who.key_id
        if who.role:
            return {"type": "AssumedRole", **identity, "arn": f"{identity['arn']}/{asked.address.replace('.', '-')}"}
        return {"type": "IAMUser", "userName": who.account, **identity}

    def _id(self, log: str, number: int) -> str:
        digest = hashlib.sha256(f"{self._seed}:{log}:{number}".encode()).hexdigest()
        return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


class _Lines:
    def __init__(self, path: Path | None) -> None:
        self.number = 0
        self._file: int | None = None
        if path is not None:
            if path.exists():
                self.number = path.read_bytes().count(b"\n")
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, record: Mapping[str, Any]) -> None:
        self.number += 1
        if self._file is not None:
            os.write(self._file, json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
