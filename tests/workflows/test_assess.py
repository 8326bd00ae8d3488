"""assess: what applies, what is seen, what to switch on next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import threatmatrix
from threatmatrix.knowledge import Library, load_library
from threatmatrix.model.assessment import SIGHTS, Assessment
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.model.system import ModelEntry, PrincipalMapping, System, TelemetryEntry, Trait
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.workflows.assess import assess, render


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library()


def system(*sources: str, traits: Sequence[Trait] = ("predictive", "public")) -> System:
    return System(
        name="labels",
        owner="post",
        criticality="high",
        models=(ModelEntry("labels", ("/v2/models/labels/infer",)),),
        traits=tuple(traits),
        telemetry=tuple(TelemetryEntry(source, f"logs/{source}.jsonl") for source in sources),
    )


def one(of: System, library: Library, **options: object) -> Assessment:
    (found,) = assess([of], library=library, **options)  # type: ignore[arg-type]
    return found


def status_of(found: Assessment, slug: str) -> str:
    return next(sight.status for sight in found.sights if sight.technique.slug == slug)


def test_every_technique_either_applies_or_not(library: Library) -> None:
    found = one(system("nginx"), library)
    mine = {sight.technique.slug for sight in found.sights}
    others = {technique.slug for technique in found.not_applicable}
    assert mine | others == set(library.techniques)
    assert not mine & others
    assert "online-evasion" in mine
    assert {"agent-tool-abuse", "retrieval-poisoning", "llm-jailbreak"} <= others
    assert sum(found.count(status) for status in SIGHTS) == len(found.sights)


def test_all_traits_of_one_entry_are_asked_for(library: Library) -> None:
    half = one(system("nginx", traits=["predictive"]), library)
    both = one(system("nginx", traits=["predictive", "trained"]), library)
    assert "ml-model-inversion" in {technique.slug for technique in half.not_applicable}
    assert "ml-model-inversion" in {sight.technique.slug for sight in both.sights}


def test_without_traits_everything_applies_and_it_is_said(library: Library) -> None:
    found = one(system("nginx", traits=[]), library)
    assert not found.not_applicable
    assert any("traits" in note for note in found.notes)


def test_no_telemetry_is_blind_and_never_clean(library: Library) -> None:
    found = one(system(), library)
    assert found.count("detected") == found.count("visible") == found.count("partial") == 0
    assert status_of(found, "online-evasion") == "blind"
    assert found.gains


def test_a_source_shows_what_its_fields_show(library: Library) -> None:
    proxy = one(system("nginx"), library)
    assert status_of(proxy, "ml-model-discovery") == "detected", "metadata requests and the user agent are all it needs"
    assert status_of(proxy, "online-evasion") != "blind"
    gateway = one(system("nginx", "gateway"), library)
    assert gateway.count("detected") >= proxy.count("detected")
    assert {"input_vec", "user_agent"} <= set(gateway.fields["inference"])


def test_gains_are_what_comes_true_when_the_source_is_switched_on(library: Library) -> None:
    found = one(system("nginx"), library)
    first = found.gains[0]
    after = one(system("nginx", first.sources[0]), library)
    for status, slugs in (("detected", first.detected), ("visible", first.visible), ("partial", first.partial)):
        assert {status_of(after, slug) for slug in slugs} <= {status}
    promised = {*first.detected, *first.visible, *first.partial}
    assert promised
    assert first.sources[0] in SOURCES
    again = after.gains[0].sources if after.gains else ()
    assert not set(first.sources[:1]) & set(again), "what is fed cannot be switched on once more"


def test_the_lake_counts_for_more_than_a_promise(library: Library, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    event = Event(
        event_id="r:1", time=1_767_225_600_000_000, source="nginx", category="model_access", operation="metadata",
        system="labels", principal="mallory", src_ip="198.51.100.7", endpoint="/v2/models/labels",
    )  # fmt: skip
    lake.append([event, replace(event, event_id="r:2", system="another", user_agent="curl/8")])
    described = system("nginx", "gateway")
    found = one(described, library, lake=lake)
    assert found.basis == "lake"
    assert set(found.fields) == {"model_access"}
    assert "user_agent" not in found.fields["model_access"], "none arrived for this system"
    assert {entry.source: entry.events for entry in found.sources} == {"nginx": 1, "gateway": 0}
    assert any("gateway is declared" in note for note in found.notes)
    assert any("user_agent" in note for note in found.notes)
    assert one(described, library, lake=lake, since=event.time + 1).basis == "declared"
    lake.close()


def test_names_are_checked(library: Library) -> None:
    with pytest.raises(UsageError, match="threatmatrix init"):
        assess([], library=library)
    with pytest.raises(UnknownNameError, match="labels"):
        assess([system()], library=library, name="label")


def test_all_forms_say_the_same(library: Library) -> None:
    hostile = replace(system("nginx"), name="<script>alert(1)</script>")
    found = assess([hostile], library=library)
    (told,) = json.loads(render(found, library, "json"))
    assert told["counts"] == {status: found[0].count(status) for status in SIGHTS}
    assert [item["technique"] for item in told["techniques"]] == [sight.technique.slug for sight in found[0].sights]
    layers = json.loads(render(found, library, "navigator"))
    assert [layer["domain"] for layer in layers] == ["atlas-atlas", "enterprise-attack"]
    coloured = {entry["techniqueID"] for layer in layers for entry in layer["techniques"] if "color" in entry}
    assert "AML.T0043.001" in coloured, "online evasion is close to it"
    page = render(found, library, "html")
    assert "<script" not in page
    assert "Content-Security-Policy" in page
    for sight in found[0].sights:
        assert sight.technique.name.replace("'", "&#x27;") in page


def test_the_gateway_is_promised_what_it_writes_and_no_more(library: Library) -> None:
    """Its format can hold a login; the gateway of a model sees none."""
    found = one(system("gateway"), library)
    assert set(found.fields) == {"inference", "model_access", "http"}
    assert status_of(found, "account-manipulation") == "blind"
    log = Path(threatmatrix.__file__).parent / "library/techniques/online-evasion/samples/attack.jsonl"
    wrote = {name for line in log.read_text().splitlines() for name in json.loads(line)}
    assert wrote - {"v"} <= set(found.fields["inference"])


def test_records_that_were_not_joined_do_not_help_each_other(library: Library, tmp_path: Path) -> None:
    event = Event(
        event_id="a", time=1_767_225_600_000_000, source="nginx", category="inference", operation="infer",
        system="labels", request_ref="r", src_ip="198.51.100.7", principal="p", endpoint="/v2/models/labels/infer",
    )  # fmt: skip
    other = replace(event, event_id="b", source="kserve", principal=None, src_ip=None, user_agent="curl/8")
    statuses = {}
    for name, events in {
        "apart": [event, other],
        "joined": [replace(event, source="kserve+nginx", user_agent="curl/8")],
    }.items():
        lake = Lake(tmp_path / name)
        lake.append(events)
        found = one(system("nginx", "kserve"), library, lake=lake)
        statuses[name] = status_of(found, "online-evasion")
        assert any("were joined" in note for note in found.notes) == (name == "apart")
        lake.close()
    assert statuses["joined"] == "detected"
    assert statuses["apart"] != "detected", "one has the principal, the other the user agent"


def test_only_what_fits_the_system_is_named_next(library: Library) -> None:
    """No second platform beside the one that serves the model, no proxy of language models before a classifier."""
    found = one(system("kserve", traits=["predictive"]), library)
    named = {source for gain in found.gains for source in gain.sources}
    assert named
    assert not named & {"sagemaker", "azureml", "vertex", "bedrock", "litellm"}
    assert found.gains[0].sources[0] == "gateway"


def test_a_classifier_is_not_asked_for_tokens(library: Library) -> None:
    lacking = {
        traits: {name for sight in one(system("gateway", traits=traits), library).sights for lack in sight.lacks
                 for name in lack.missing if lack.category}
        for traits in (("predictive",), ("generative",), ("predictive", "generative"))
    }  # fmt: skip
    tokens, scores = {"tokens_in", "tokens_out"}, {"output_label", "output_scores"}
    assert not lacking["predictive",] & tokens
    assert lacking["generative",] & tokens
    assert not lacking["generative",] & scores
    assert lacking["predictive", "generative"] & tokens


def test_a_principal_is_promised_where_its_header_is_named(library: Library) -> None:
    described = system("kserve")
    assert "principal" not in one(described, library).fields["inference"]
    told = replace(described, principal=PrincipalMapping(header="x-user"))
    assert "principal" in one(told, library).fields["inference"]
