"""Which fields the events of a system have: as they arrived, or as the readers of its sources promise them.

Two records of one request become one event where they can be joined; elsewhere each stays an event of its own, and
what one has does not help a detector that reads the other. So a category has a set of fields for each *kind* of event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, zip_longest

from threatmatrix.model.system import PrincipalMapping, Trait
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.telemetry.seen import Seen

__all__ = ["Fields", "all_of", "arrived", "given", "layers", "not_theirs", "to_switch_on", "with_source"]

Fields = Mapping[str, tuple[frozenset[str], ...]]
"""Category of event → for each kind of event in it, the fields that such events have; no kind is a part of another."""

_REFS = {"request_ref", "trace_id"}
_MOST_KINDS = 16
_ASKED = "`principal.header`"  # stands in ``gives`` where a principal needs a header that systems.yaml names

# The gateway's format can hold any event; what a gateway of ours writes into it is this (gateway/record.py).
_REQUEST = frozenset(
    {"event_id", "time", "source", "category", "operation", "system", "tenant", "principal", "src_ip", "user_agent"}
    | {"method", "endpoint", "model", "model_version", "request_ref", "input_bytes", "latency_ms", "status"}
    | {"decision", "policy_ref", "session", "trace_id"}
)
_ROW = frozenset(
    {"row", "rows", "input_fp", "input_vec", "vec_scale", "vec_key", "output_label", "output_scores"}
    | {"input_fp_prev", "input_vec_prev", "vec_key_prev"}
)
_GATEWAY = {"inference": _REQUEST | _ROW, "model_access": _REQUEST, "http": _REQUEST}

# Categories that a source has of a narrower thing than the techniques mean. A proxy sees artifacts and the registry
# only before an MLflow server: not promised. OpenTelemetry has retrievals and agents, no storage and no cloud account.
_RARE = {"nginx": {"artifact_access", "model_registry"}, "envoy": {"artifact_access", "model_registry"}}
_OTHER = {"otel": {"artifact_access", "api_activity"}}

_SERVED_BY = frozenset({"kserve", "sagemaker", "azureml", "vertex", "bedrock"})  # a system is served by one of them
_BY_AWS = frozenset({"sagemaker", "bedrock"})
_TRAIL = {"inference", "model_access"}  # of CloudTrail: calls of those two services
_FOR_WORDS = frozenset({"litellm", "bedrock"})
_NO_PROMISE = frozenset({"mapping", "ocsf"})  # they hold whatever somebody put in
_WORDS: frozenset[Trait] = frozenset({"generative", "agent", "retrieval"})


def to_switch_on(fed: Collection[str], traits: Collection[Trait]) -> list[str]:
    """The sources that such a system, with these in use, could have besides."""
    left_out = {*fed, *_NO_PROMISE}
    if not _SERVED_BY.isdisjoint(fed):
        left_out |= _SERVED_BY
    if traits and _WORDS.isdisjoint(traits):
        left_out |= _FOR_WORDS
    return [name for name in SOURCES if name not in left_out]


def not_theirs(traits: Iterable[Trait]) -> frozenset[str]:
    """Fields that no event of such a system can have: a classifier has no tokens, a language model no scores."""
    own = set(traits)
    if not own:
        return frozenset()
    tokens = frozenset() if own & _WORDS else frozenset({"tokens_in", "tokens_out"})
    scores = frozenset({"output_label", "output_scores", "row", "rows"})
    return tokens if "predictive" in own or not own & _WORDS else scores


def arrived(seen: Seen) -> Fields:
    """What the events in the lake have."""
    return {
        category: found
        for category, kinds in seen.kinds.items()
        if (found := _largest(have for name, have in kinds.items() if category not in _OTHER.get(name, ())))
    }


def given(sources: Collection[str], principal: PrincipalMapping) -> Fields:
    """What events have where these sources are fed, each with every field that its reader can fill."""
    fields: Fields = {}
    for name in sources:
        fields = with_source(fields, name, principal, beside=sources)
    return fields


def with_source(fields: Fields, name: str, principal: PrincipalMapping, *, beside: Collection[str]) -> Fields:
    """``fields`` with those of one more source, ``beside`` others; ``principal`` says how a principal is told."""
    found = dict(fields)
    for category, names in _promised(name, with_header=bool(principal.header)).items():
        if name == "cloudtrail" and category in _TRAIL and _BY_AWS.isdisjoint(beside):
            continue
        new = names | {"principal"} if names & set(principal.tell_by) else names
        kinds = found.get(category, ())
        joined = [kind | new if kind & _REFS and new & _REFS else kind for kind in kinds]
        found[category] = _largest([*joined, new])
    return found


def all_of(fields: Fields) -> Mapping[str, frozenset[str]]:
    """Category → fields that some event of it has."""
    return {category: frozenset().union(*kinds) for category, kinds in fields.items()}


def layers(fields: Fields) -> Iterator[Mapping[str, frozenset[str]]]:
    """Category → fields of one kind of event, until each kind had its turn: who sees in one of them, sees."""
    for kinds in islice(zip_longest(*fields.values()), _MOST_KINDS):
        pairs = zip(fields.items(), kinds, strict=True)
        yield {category: every[0] if kind is None else kind for (category, every), kind in pairs}
    if not fields:
        yield {}


def _promised(name: str, *, with_header: bool) -> Mapping[str, frozenset[str]]:
    if name == "gateway":
        return _GATEWAY
    left_out = _RARE.get(name, set()) | _OTHER.get(name, set())
    return {
        category: frozenset(
            field for field, told in origins.items() if field != "principal" or with_header or _ASKED not in told
        )
        for category, origins in (SOURCES[name].gives.items() if name in SOURCES else ())
        if category not in left_out
    }


def _largest(kinds: Iterable[frozenset[str]]) -> tuple[frozenset[str], ...]:
    """Without those that are a part of another, the richest first."""
    found: list[frozenset[str]] = []
    for kind in sorted(set(kinds), key=lambda names: (-len(names), sorted(names))):
        if not any(kind <= larger for larger in found):
            found.append(kind)
    return tuple(found)
