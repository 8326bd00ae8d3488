"""Who called, by CloudTrail's ``userIdentity``.

Source: AWS CloudTrail User Guide, "CloudTrail userIdentity element".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatmatrix.telemetry.readers.aws import Caller, caller_of
from threatmatrix.telemetry.readers.base import Where, text
from threatmatrix.telemetry.readers.parts import first_text

__all__ = ["identity_of"]

_HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"  # a user name that does not exist: AWS does not tell what was typed
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


def identity_of(identity: Mapping[str, Any], where: Where, region: str) -> Caller:
    """The principal and, of an assumed role, the session.

    A failed login has no ARN; it is put together from account and user name, so that it belongs to the same principal
    as the login that succeeds after it. (A user with a path has another ARN: the record does not say the path.)
    """
    arn = text(identity, where, "arn")
    return caller_of(arn) if arn is not None else Caller(_without_arn(identity, where, region))


def _without_arn(identity: Mapping[str, Any], where: Where, region: str) -> str | None:
    kind, account = text(identity, where, "type"), text(identity, where, "accountId")
    name = text(identity, where, "userName")
    if name == _HIDDEN:
        return None
    if kind == "IAMUser" and account and name:
        return f"arn:{_partition(region)}:iam::{account}:user/{name}"
    if kind == "Root" and account:
        return f"arn:{_partition(region)}:iam::{account}:root"
    person = name or first_text(identity.get("onBehalfOf"), "userId")
    if person is not None or kind == "Unknown":  # of an unknown caller the principalId is the account
        return person
    return text(
        identity, where, *(("invokedBy",) if kind == "AWSService" else ("principalId", "invokedBy", "accountId"))
    )


def _partition(region: str) -> str:
    return next((partition for prefix, partition in _PARTITIONS if region.startswith(prefix)), "aws")
