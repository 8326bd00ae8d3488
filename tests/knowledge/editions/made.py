"""Small matrices with made-up names, as text, and editions of every shape."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from threatmatrix.knowledge.editions.reading import YAML_LIMITS
from threatmatrix.knowledge.yamlfile import Document, parse_yaml
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

LEGACY = """---
id: ATLAS
name: Made-up Threats
version: 5.2.0
matrices:
- id: ATLAS
  name: ATLAS Matrix
  tactics:
  - id: AML.TA0002
    name: Looking Around
    description: The first column.
    object-type: tactic
    ATT&CK-reference:
      id: TA0043
      url: https://attack.mitre.org/tactics/TA0043/
    created_date: 2022-01-24
    modified_date: 2025-04-09
  - id: AML.TA0000
    name: Getting There
    description: The second column.
    object-type: tactic
    created_date: 2021-05-13
    modified_date: 2025-10-13
  techniques:
  - id: AML.T0001
    name: Peek
    description: 'Said in two paragraphs.


      This is the second.'
    object-type: technique
    tactics:
    - AML.TA0002
    - AML.TA0000
    created_date: 2021-05-13
    modified_date: 2025-10-13
    maturity: demonstrated
  - id: AML.T0001.000
    name: Peek Twice
    description: A sub-technique.
    object-type: technique
    subtechnique-of: AML.T0001
    created_date: 2021-05-13
    modified_date: 2021-05-13
    maturity: feasible
  mitigations:
  - id: AML.M0018
    name: Draw the Curtain
    description: It helps.
    object-type: mitigation
    techniques:
    - id: AML.T0001
      use: Draw it at night.
    - id: AML.T0001.000
      use: Draw it twice.
    ml-lifecycle:
    - Deployment
    - id: AML.T0001
      use: A technique that strayed in here.
    - Monitoring and Maintenance
    category:
    - Policy
    created_date: 2023-04-12
    modified_date: 2023-04-12
case-studies:
- id: AML.CS0000
  name: The Window
  object-type: case-study
  summary: Somebody looked in.
  incident-date: 2020-04-16
  incident-date-granularity: MONTH
  procedure:
  - tactic: AML.TA0002
    technique: AML.T0001
    description: They walked past.
  - tactic: AML.TA0000
    technique: AML.T0001.000
    description: They came back.
  - tactic: AML.TA0002
    technique: AML.T0001
    description: And again.
  reporter: A neighbour
  target: A house
  actor: Unknown
  case-study-type: exercise
  references:
  - title: The local paper
    url: https://example.org/paper
"""


def legacy(text: str = LEGACY) -> Document:
    return parse_yaml(text, file="ATLAS.yaml", limits=YAML_LIMITS)


V6 = """format-version: 6.0.0
collection:
  name: ATLAS
  description: Made up.
  references: []
  created-date: '2020-10-23'
  modified-date: '2026-05-27'
  version: '2026.05'
  id: ATLAS-collection
  uuid: 7a735cfc-0469-5d8b-b11f-d014be33394e
  object-type: collection
matrix:
  name: ATLAS
  description: Made up.
  references: []
  created-date: '2020-10-23'
  modified-date: '2026-05-27'
  id: ATLAS-matrix
  uuid: 967c63ff-22bd-5ff8-aa59-1e1fca8dec78
  object-type: matrix
tactics:
  AML.TA0000:
    name: Getting There
    references: []
    id: AML.TA0000
    uuid: e78b4630-6ed6-5f22-9409-f6f4fcf4e78c
    object-type: tactic
  AML.TA0002:
    name: Looking Around
    references: []
    attack-reference:
      id: TA0043
      url: https://attack.mitre.org/tactics/TA0043/
    id: AML.TA0002
    uuid: 11111111-1111-4111-8111-111111111111
    object-type: tactic
techniques:
  AML.T0001:
    name: Peek
    description: As [[r1]] says.
    references:
    - id: r1
      title: A reference
      url: https://example.org/one
    platforms:
    - Predictive AI
    id: AML.T0001
    maturity: Realized
    uuid: 22222222-2222-4222-8222-222222222222
    object-type: technique
  AML.T0001.000:
    name: Peek Twice
    references: []
    platforms: []
    id: AML.T0001.000
    maturity: Feasible
    uuid: 33333333-3333-4333-8333-333333333333
    object-type: technique
mitigations:
  AML.M0018:
    name: Draw the Curtain
    references: []
    lifecycle-phases:
    - Deployment
    categories:
    - Policy
    id: AML.M0018
    uuid: 44444444-4444-4444-8444-444444444444
    object-type: mitigation
case-studies:
  AML.CS0000:
    name: The Window
    description: Somebody looked in.
    references: []
    type: Exercise
    actor: Unknown
    target: A house
    date: '2020-04-16'
    date-granularity: Month
    id: AML.CS0000
    uuid: 2c174273-f52b-5468-b23f-795037a10454
    object-type: case-study
relationships:
  AML.CS0000:
    employs:
    - source: AML.CS0000
      target: AML.T0001
      relationship-type: employs
      description: First.
      tactic: AML.TA0002
      step-id: S00
      leads-to:
      - S01
    - source: AML.CS0000
      target: AML.T0001
      relationship-type: employs
      description: Third, by the same technique.
      tactic: AML.TA0000
      step-id: S02
      leads-to: []
    - source: AML.CS0000
      target: AML.T0001.000
      relationship-type: employs
      description: Second.
      tactic: AML.TA0000
      step-id: S01
      leads-to:
      - S02
  AML.M0018:
    mitigates:
    - source: AML.M0018
      target: AML.T0001
      relationship-type: mitigates
      description: Draw it at night.
  AML.T0001:
    achieves:
    - source: AML.T0001
      target: AML.TA0002
      relationship-type: achieves
    - source: AML.T0001
      target: AML.TA0000
      relationship-type: achieves
  AML.T0001.000:
    achieves:
    - source: AML.T0001.000
      target: AML.TA0000
      relationship-type: achieves
    specializes:
    - source: AML.T0001.000
      target: AML.T0001
      relationship-type: specializes
  ATLAS-matrix:
    sequences:
    - source: ATLAS-matrix
      target: AML.TA0002
      relationship-type: sequences
      position: 1
    - source: ATLAS-matrix
      target: AML.TA0000
      relationship-type: sequences
      position: 2
"""


def v6(text: str = V6) -> Document:
    return parse_yaml(text, file="ATLAS-2026.05.yaml", limits=YAML_LIMITS)


_ANY = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\x85\ufeff\ufffe\uffff")
_CHARACTERS = _ANY | st.sampled_from("\n\t <>&'\":#-[]{}*%@`\\")
TEXT = st.text(_CHARACTERS, max_size=12) | st.sampled_from(
    [
        "",
        "no",
        "1e3",
        "2020-01-01",
        "2020-02-31",
        "null",
        "~",
        "<script>alert(1)</script>",
        "0x1f",
        "1_000",
        "=",
        "<<",
        "- a",
    ]
)
NAME = TEXT.filter(lambda text: bool(text.strip()))
_DATE = st.sampled_from(["", "2020", "2020-10", "2020-10-22", "2020-02-31", "20201022", "2024-07-10T00:00:00.000Z"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
_KEYS = st.sampled_from(
    [
        "year",
        "references",
        "uuid",
        "tactics",
        "maturity",
        "incident-date",
        "date",
        "relationships.achieves",
        "layout",
        "platforms",
        "techniques",
        "procedure",
        "description",
        "ATT&CK-reference",
        "matrix",
        "collection",
        "version",
        "x-omitted",
        "x-empty",
    ]
)
_EXTRA = st.dictionaries(_KEYS | NAME, _JSON, max_size=2)


def _entry(draw: Any, identity: str) -> dict[str, Any]:
    return {
        "id": identity,
        "name": draw(NAME),
        "description": draw(TEXT),
        "created": draw(_DATE),
        "modified": draw(_DATE),
        "references": tuple(Reference(draw(TEXT), draw(TEXT)) for _ in range(draw(st.integers(0, 2)))),
        "stix_id": draw(st.sampled_from(["", "attack-pattern--22222222-2222-4222-8222-222222222222", "x"])),
        "extra": draw(_EXTRA),
    }


_UPSTREAM_ID = st.integers(0, 99).map(lambda number: f"AML.T{number:04}") | st.sampled_from(
    ["AML.T0001.000", "T1059.001"]
)
_IDS = st.lists(_UPSTREAM_ID | NAME, min_size=1, max_size=4, unique=True)


@st.composite
def editions(draw: Any) -> Edition:
    """Sound editions of every shape and origin."""
    tactics = draw(_IDS)
    techniques = draw(_IDS)
    texts = st.lists(TEXT, max_size=2).map(tuple)
    made = [
        EditionTechnique(
            **_entry(draw, identity),
            tactics=tuple(draw(st.lists(st.sampled_from(tactics), unique=True))),
            parent=draw(st.sampled_from(["", *techniques[:index]])),
            platforms=draw(texts),
            maturity=draw(st.sampled_from(["", "feasible", "Realized", "ODD"])),
            attack=draw(st.sampled_from(["", "T1059.001", "x"])),
            retired=draw(st.booleans()),
        )
        for index, identity in enumerate(techniques)
    ]
    mitigations = [
        EditionMitigation(
            **_entry(draw, identity),
            mitigates=tuple(
                Mitigates(technique, draw(TEXT))
                for technique in draw(st.lists(st.sampled_from(techniques), max_size=3))
            ),
            lifecycle=draw(texts),
            categories=draw(texts),
        )
        for identity in draw(_IDS)
    ]
    return Edition(
        source=draw(st.sampled_from(["threatmatrix", "atlas", "attack"])),
        name=draw(NAME),
        version=draw(st.sampled_from(["2020", "living", "5.6.0", "2026.10", "", "1e3"])),
        format=draw(st.sampled_from(["library", "json", "atlas-legacy", "atlas-6", "stix"])),
        description=draw(TEXT),
        tactics=tuple(
            EditionTactic(**_entry(draw, identity), attack=draw(st.sampled_from(["", "TA0001"])), shortname=draw(TEXT))
            for identity in tactics
        ),
        techniques=tuple(made),
        mitigations=tuple(mitigations),
        cases=tuple(draw(_case(identity, techniques, tactics)) for identity in draw(_IDS)),
        vulnerabilities=tuple(
            EditionVulnerability(**_entry(draw, identity), cve=draw(TEXT), techniques=(techniques[0],))
            for identity in draw(_IDS)
        ),
        created=draw(_DATE),
        extra=draw(_EXTRA),
    )


@st.composite
def _case(draw: Any, identity: str, techniques: list[str], tactics: list[str]) -> EditionCase:
    steps = draw(st.lists(st.sampled_from(["S00", "S01", "S02", "S10", "a", "b"]), max_size=4, unique=True))
    return EditionCase(
        **_entry(draw, identity),
        type=draw(st.sampled_from(["", "incident", "Exercise", "ODD"])),
        date=draw(_DATE),
        actor=draw(TEXT),
        target=draw(TEXT),
        reporter=draw(TEXT),
        steps=tuple(
            EditionStep(
                id=step,
                technique=draw(st.sampled_from(techniques)),
                tactic=draw(st.sampled_from(["", *tactics])),
                description=draw(TEXT),
                leads_to=tuple(draw(st.lists(st.sampled_from(steps), max_size=2, unique=True))),
                extra=draw(_EXTRA),
            )
            for step in steps
        ),
    )
