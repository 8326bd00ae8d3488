"""Editions made up for the tests: one by hand with a bit of everything, and any that Hypothesis can think of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from threatmatrix.model.edition import (
    Edition,
    EditionCase,
    EditionMitigation,
    EditionStep,
    EditionTactic,
    EditionTechnique,
    EditionVulnerability,
    Mitigates,
)
from threatmatrix.model.procedure import Reference

RULE = """title: "Many <b>near</b> copies"
id: 5e5a3f0e-7e2b-4f0c-9f8e-0a6f0a1b2c3d
status: test
logsource:
  category: inference
detection:
  near:
    rows|gte: 5
  condition: near
"""
PLAYBOOK: dict[str, Any] = {
    "type": "playbook",
    "spec_version": "cacao-2.0",
    "id": "playbook--6e704245-a4ff-41e3-a794-9b80dcb0b82f",
    "name": "Slow them down",
    "description": "A sample.",
    "created_by": "identity--47eaa099-2cb6-416d-86dc-283cf0480ff9",
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-02-01T00:00:00.000Z",
    "playbook_types": ["mitigation"],
    "priority": 20,
    "severity": 700,
    "labels": ["sample"],
    "workflow": {"start--1": {"type": "start", "empty": [], "nothing": None}},
}
HOSTILE = "<script>alert(1)</script> & \u0007 \u202e ]]> {{7*7}} 'quoted' \"twice\"\n"

SAMPLE = Edition(
    source="threatmatrix",
    name="Sample matrix",
    version="living",
    format="library",
    created="2020-10-22",
    modified="2026-11-01",
    description=HOSTILE,
    tactics=(
        EditionTactic(id="reach", name="Reach the model", shortname="reach", attack="TA0001", extra={"atlas": ""}),
        EditionTactic(id="fool", name="Fool the model", shortname="Fool It"),
    ),
    techniques=(
        EditionTechnique(
            id="ask",
            name="Ask it",
            description=HOSTILE,
            created="2020-10-22",
            modified="2019-01-01",
            references=(
                Reference("A paper", "https://example.org/paper"),
                Reference("", "not a url"),
                Reference("cve"),
            ),
            tactics=("fool", "reach"),
            maturity="realized",
            extra={
                "kind": "ml",
                "guidance": None,
                "monitors": [],
                "atlas": [{"id": "AML.T9001", "name": "Sample", "relation": "close"}],
                "attack": [{"id": "T9002", "name": "Sample", "relation": "exact"}],
                "enables": ["ask-again", "ask-twice"],
                "rules": [{"file": "near.yml", "text": RULE}, {"file": "odd.yml", "text": "a: b\n"}],
                "playbook": PLAYBOOK,
                "procedures": [{"id": "p", "params": {}, "threshold": 0.5}],
            },
        ),
        EditionTechnique(id="ask-twice", name="", tactics=("fool",), parent="ask", platforms=("Linux",)),
        EditionTechnique(id="ask-again", name="Ask again", tactics=("reach",), retired=True, attack="T9003"),
    ),
    mitigations=(
        EditionMitigation(
            id="slow",
            name="Slow it",
            mitigates=(Mitigates("ask-again", "So."), Mitigates("ask"), Mitigates("ask-again", "And so.")),
            lifecycle=("operation",),
            categories=("technical-ml",),
            attack="M9001",
        ),
    ),
    cases=(
        EditionCase(
            id="tale",
            name="A tale",
            description="What happened.",
            type="incident",
            date="2021-03",
            actor="Somebody",
            target="A model",
            reporter="Us",
            references=(Reference("A report", "https://example.org/report"),),
            steps=(
                EditionStep(id="S00", technique="ask", tactic="reach", description="First.", leads_to=("S01", "S02")),
                EditionStep(id="S01", technique="ask-again", extra={"visible": False, "atlas": []}),
                EditionStep(id="S02", technique="ask", tactic="fool"),
            ),
            extra={"vulnerabilities": ["weak"], "learned": []},
        ),
        EditionCase(id="lab", name="In the lab", type="exercise", actor="Somebody", target="Unknown"),
    ),
    vulnerabilities=(
        EditionVulnerability(id="weak", name="Weak", cve="CVE-2019-20634", techniques=("ask-again", "ask")),
        EditionVulnerability(id="CVE-2020-0001", name="Odd", cve="no such form"),
    ),
    extra={"note": "kept", "nothing": None},
)

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
SOME = WORDS.filter(bool)
MOMENTS = st.sampled_from(("", "2020", "2020-10", "2021-05-13", "2026-04-30T18:44:27.295067Z", "2020-13-45", "soon"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
KEYS = WORDS | st.sampled_from(("stix", "rules", "playbook", "enables", "atlas", "revoked_by", "vulnerabilities"))
EXTRA = st.dictionaries(KEYS, VALUES, max_size=3)
STIX = st.dictionaries(st.sampled_from(("x_mitre_version", "revoked", "labels", "x_mitre_platforms", "X")), VALUES)
RULES = st.lists(st.fixed_dictionaries({"file": WORDS, "text": WORDS}), max_size=2)
GIVEN = ("", "attack-pattern--3bfaa3f9-98ee-42fd-8d55-032484f6695c", "nothing of the kind")


def _entry() -> dict[str, Any]:
    references = st.builds(Reference, WORDS, WORDS | st.just("https://example.org/a?b=c"))
    return {
        "name": WORDS,
        "description": WORDS,
        "created": MOMENTS,
        "modified": MOMENTS,
        "references": st.lists(references, max_size=2).map(tuple),
        "stix_id": st.sampled_from(GIVEN),
        "extra": EXTRA | STIX.map(lambda stix: {"stix": stix}),
    }


@st.composite
def editions(draw: st.DrawFn) -> Edition:
    """Sound ones: ids differ, and what an entry names is there."""
    tactic_ids = draw(st.lists(SOME, unique=True, max_size=3))
    ids = draw(st.lists(SOME, unique=True, max_size=4))
    some_tactics = st.lists(st.sampled_from(tactic_ids), unique=True).map(tuple) if tactic_ids else st.just(())
    known = st.sampled_from(ids) if ids else st.nothing()
    texts = st.lists(WORDS, max_size=2).map(tuple)

    def build(kind: type, entry_id: str, **more: Any) -> Any:
        return draw(st.builds(kind, id=st.just(entry_id), **(_entry() | more)))

    extra = EXTRA | STIX.map(lambda stix: {"stix": stix})
    extra |= st.fixed_dictionaries({"rules": RULES, "playbook": VALUES, "enables": st.lists(known | WORDS, max_size=2)})
    of_a_technique = {"tactics": some_tactics, "platforms": texts, "maturity": WORDS, "attack": WORDS, "extra": extra}
    techniques = tuple(
        build(
            EditionTechnique, entry_id, parent=st.sampled_from(("", ids[0]) if at else ("",)), retired=st.booleans(),
            **of_a_technique,
        )
        for at, entry_id in enumerate(ids)
    )  # fmt: skip
    edges = st.lists(st.builds(Mitigates, known, WORDS), max_size=4).map(tuple)
    step_ids = draw(st.lists(WORDS, unique=True, max_size=3)) if ids else []
    following = st.lists(st.sampled_from(step_ids)).map(tuple) if step_ids else st.just(())
    of_a_step = {
        "technique": known, "tactic": st.sampled_from(("", *tactic_ids)), "description": WORDS, "leads_to": following,
        "extra": EXTRA,
    }  # fmt: skip
    of_a_case = {
        "type": WORDS | st.just("incident"), "date": MOMENTS, "actor": WORDS, "target": WORDS, "reporter": WORDS,
        "steps": st.tuples(*(st.builds(EditionStep, id=st.just(name), **of_a_step) for name in step_ids)),
    }  # fmt: skip
    some = st.lists(SOME, unique=True, max_size=2)
    return Edition(
        source=draw(st.sampled_from(("threatmatrix", "atlas", "attack"))),
        **{key: draw(WORDS) for key in ("name", "version", "format", "description")},
        created=draw(MOMENTS),
        modified=draw(MOMENTS),
        tactics=tuple(build(EditionTactic, name, attack=WORDS, shortname=WORDS) for name in tactic_ids),
        techniques=techniques,
        mitigations=tuple(
            build(EditionMitigation, name, mitigates=edges, lifecycle=texts, categories=texts, attack=WORDS)
            for name in draw(some)
        ),
        cases=tuple(build(EditionCase, name, **of_a_case) for name in draw(some)),
        vulnerabilities=tuple(
            build(
                EditionVulnerability, name, cve=WORDS | st.just("CVE-2019-20634"), techniques=st.lists(known).map(tuple)
            )
            for name in draw(some)
        ),
        extra=draw(EXTRA),
    )
