"""What two records of one request may not say differently."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING

from threatmatrix.model.event import Event

if TYPE_CHECKING:
    from threatmatrix.telemetry.joining.unit import Unit

__all__ = [
    "GENERAL",
    "JOINABLE",
    "may_be_one",
    "may_be_one_by_trace",
    "may_be_one_by_who",
    "role_of",
    "space_of",
    "worth_joining",
]

_ASK_AND_ANSWER = frozenset({"azureml", "kserve", "oip"})  # request and response are records of their own
_OWN_IDS: Mapping[str, str] = MappingProxyType(
    {
        "bedrock": "aws",
        "cloudtrail": "aws",
        "gateway": "gateway",
        "litellm": "litellm",
        "mlflow": "mlflow",
        "ocsf": "ocsf",
        "otel": "otel",
        "sagemaker": "sagemaker",
        "vertex": "vertex",
    }
)
"""Sources whose request ids may be their own. All others carry the id that the proxy gave the request."""

_INSIDE = tuple(
    ip_network(block)
    for block in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip

GENERAL = frozenset({"http", "api_activity"})
"""Categories that say only that something was asked; any other may be the same request seen from nearer by."""

JOINABLE = GENERAL | {"inference", "model_access", "model_registry", "artifact_access", "tool_call"}
"""Categories of which one request may leave several records. A login is none: each host logs its own."""

_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "chat": "text",
        "completion": "text",
        "text_completion": "text",
        "generate_content": "text",
        "embeddings": "embeddings",
        "metadata": "metadata",
        "health": "health",
    }
)
"""Operation → what kind of asking it is; any other operation may stand for any of them."""


def role_of(event: Event) -> str:
    """``ask`` or ``answer`` where the source logs both apart, ``span`` or ``details`` of otel, else ``whole``."""
    if event.source == "otel":
        return "details" if event.event_id.endswith(":details") else "span"
    if event.source not in _ASK_AND_ANSWER:
        return "whole"
    asked = event.input_bytes is not None or event.input_fp is not None
    answered = event.output_label is not None or event.output_scores is not None or event.tokens_out is not None
    if asked and answered:
        return "whole"
    return "ask" if asked or (not answered and event.status is None) else "answer"


def worth_joining(sources: Collection[str]) -> bool:
    """Whether one request leaves several records in these sources."""
    return len(sources) > 1 or not _ASK_AND_ANSWER.isdisjoint(sources) or "otel" in sources


def space_of(source: str) -> str:
    """Which sources' request ids can be compared; "" for a joined event, whose id may be of any of its sources."""
    return "" if "+" in source else _OWN_IDS.get(source, "request")


def may_be_one(a: Unit, b: Unit, window: int) -> bool:
    """Whether nothing speaks against two records being one request: kind, model, system, who, address, time."""
    x, y = a.head, b.head
    return (
        abs(a.time - b.time) <= window + max(a.lasted, b.lasted)
        and (x.category == y.category or x.category in GENERAL or y.category in GENERAL)
        and _same_operation(x.operation, y.operation)
        and (x.method is None or y.method is None or x.method == y.method)
        and (x.system is None or y.system is None or x.system == y.system)
        and (x.rows is None or y.rows is None or x.rows == y.rows)
        and _same_model(x, y)
        and _same_caller(x, y)
        and (x.src_ip is None or y.src_ip is None or x.src_ip == y.src_ip or _hop(x.src_ip) or _hop(y.src_ip))
    )


def may_be_one_by_trace(a: Unit, b: Unit, window: int) -> bool:
    """The same without a common request id: ids of one kind must not differ, nor paths."""
    return not _ids_differ(a, b) and _same_path(a.head.endpoint, b.head.endpoint) and may_be_one(a, b, window)


def may_be_one_by_who(a: Unit, b: Unit, window: int) -> bool:
    """The same with nothing but principal and time in common: model or path must agree outright, and addresses."""
    x, y = a.head, b.head
    told = (x.model is not None and y.model is not None) or (x.endpoint is not None and y.endpoint is not None)
    addresses = x.src_ip is None or y.src_ip is None or x.src_ip == y.src_ip
    return told and addresses and may_be_one_by_trace(a, b, window)


def _ids_differ(a: Unit, b: Unit) -> bool:
    return a.ref is not None and b.ref is not None and a.ref != b.ref and a.space == b.space != ""


def _same_operation(one: str | None, other: str | None) -> bool:
    if one == other or one is None or other is None:
        return True
    first, second = _FAMILIES.get(one), _FAMILIES.get(other)
    return first is None or second is None or first == second


def _same_model(x: Event, y: Event) -> bool:
    """``openai/gpt-x`` and ``gpt-x`` are one model, and one source's name may be the other's version."""
    if x.model is None or y.model is None or x.model == y.model:
        return True
    one, other = _bare(x.model), _bare(y.model)
    if one == other:
        return True
    versions = (x.model_version and _bare(x.model_version), y.model_version and _bare(y.model_version))
    return one == versions[1] or other == versions[0]


@lru_cache(maxsize=4096)
def _bare(model: str) -> str:
    return model.rpartition("/")[2].casefold()


def _same_caller(x: Event, y: Event) -> bool:
    """One source may call a caller by account and another by the id of its key."""
    if x.key_id is not None and y.key_id is not None and x.key_id != y.key_id:
        return False
    if x.principal is None or y.principal is None or x.principal == y.principal:
        return True
    return x.principal == y.key_id or y.principal == x.key_id or (x.key_id is not None and x.key_id == y.key_id)


def _same_path(one: str | None, other: str | None) -> bool:
    """A proxy may cut a prefix off, or put one before."""
    return one is None or other is None or one == other or one.endswith(other) or other.endswith(one)


@lru_cache(maxsize=8192)
def _hop(address: str) -> bool:
    """Whether an address may be that of a proxy on the way, which the next server sees instead of the caller's."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return True  # a name, a socket: no client
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in _INSIDE)
