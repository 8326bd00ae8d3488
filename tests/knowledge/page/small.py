"""A small made-up library and a made-up edition of ATLAS's shape, and the means to poison every text in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from threatmatrix.knowledge import Library
from threatmatrix.knowledge.view import Column
from threatmatrix.model.edition import (
    Edition,
    EditionCase,
    EditionMitigation,
    EditionStep,
    EditionTactic,
    EditionTechnique,
    Mitigates,
)
from threatmatrix.model.evidence import Evidence
from threatmatrix.model.matrix import (
    CaseStep,
    CaseStudy,
    ExternalId,
    Guidance,
    Mitigated,
    Mitigation,
    MonitorSpec,
    RuleSource,
    Tactic,
    Technique,
    Trace,
    Vulnerability,
)
from threatmatrix.model.procedure import Reference, ReplaySpec

Thing = TypeVar("Thing")

EVIL = (
    '"\'><script>window.__x=1</script><img src=x onerror="window.__x=2"><svg onload=window.__x=3></svg>'
    "</style></title></textarea></script><!-- ${window.__x=4}\u2028{{7*7}} [a](javascript:window.__x=5) &lt;"
)
WEB = Reference("A paper on parrots", "https://example.org/parrots?a=1&b=2")


def small_library() -> Library:
    """Two columns; five techniques in six cells, one of them of 2023; two case studies."""
    lure = Technique(
        slug="lure-the-parrot", name="Lure the parrot", kind="ml", tactics=("listening", "singing"), order=0,
        description="Somebody whistles a tune that the parrot likes.\n\nIt answers with what it has learnt.",
        needs="A whistle and patience.", legacy=("MLT0099",),
        telemetry=(
            Trace("Cage log", "Many whistles that are nearly the same.", "inference", ("principal", "input_fp")),
            Trace("Door sensor", "Nothing.", "", ()),
        ),
        guidance=Guidance("Count the whistles.", "Cover the cage.", "Teach it other tunes."),
        atlas=(ExternalId("AML.T0099", "Bird Luring", "close"),), attack=(ExternalId("T1999", "Luring", "partial"),),
        references=(WEB, Reference("A talk without an address"), Reference("Odd", "javascript:window.__x=6")),
        enables=("steal-the-song",), monitors=(MonitorSpec(use="near-whistles", severity="high", params={"n": 3.0}),),
        rules=(RuleSource("whistle.yml", "title: Whistle\ndetection:\n  condition: selection\n", "lure-the-parrot"),),
    )  # fmt: skip
    soft = Technique(
        slug="soft-whistle", name="Soft whistle", kind="ml", tactics=("listening",), parent="lure-the-parrot",
        description="The same, so quietly that nobody hears it.", order=1,
    )  # fmt: skip
    keys = Technique(
        slug="borrow-the-keys", name="Borrow the keys", kind="enterprise", tactics=("listening",), order=2,
        description="The cage's keys are taken from a coat.", attack=(ExternalId("T1078", "Valid Accounts", "exact"),),
        enables=("lure-the-parrot",),
    )  # fmt: skip
    song = Technique(
        slug="steal-the-song", name="Steal the song", kind="ml", tactics=("singing",), order=1,
        description="The song is written down note by note.",
    )  # fmt: skip
    robot = Technique(
        slug="robot-parrot", name="Robot parrot", kind="ml", tactics=("singing",), order=2, year=2023,
        description="A machine sings instead, and nobody notices the difference.",
    )  # fmt: skip
    market = CaseStudy(
        slug="market-day", name="Market day", type="incident", date="2019-05", actor="A stranger", target="Polly",
        summary="On a market day a stranger took Polly's song home.", atlas="AML.CS0099", legacy="MLCS0099",
        steps=(
            CaseStep("borrow-the-keys", "listening", "The coat hung by the door.", visible=False),
            CaseStep(
                "lure-the-parrot", "singing", "Polly was whistled to for an hour.", ("whistle",), True, ("AML.T0099",)
            ),
            CaseStep("steal-the-song", "singing", "Every note was written down."),
        ),
        learned=("Hang the coat elsewhere.",), vulnerabilities=("thin-cage",), references=(WEB,),
        replay=ReplaySpec(target="digits", samples=1, params={}),
    )  # fmt: skip
    later = CaseStudy(
        slug="robot-concert", name="Robot concert", type="exercise", date="2023", actor="A school",
        target="An audience",
        summary="A class fooled its parents.", steps=(CaseStep("robot-parrot", "singing", "The robot sang."),),
        year=2023,
    )  # fmt: skip
    cover = Mitigation(
        slug="cover-the-cage", name="Cover the cage", description="A cloth over the cage.", category="policy",
        lifecycle=("deployment", "operation"), cost="The parrot sleeps more.", defeated_by="A louder whistle.",
        techniques=(Mitigated("lure-the-parrot", "It no longer hears the tune."),), controls=("cloth",),
        atlas=(ExternalId("AML.M0099", "Cover", "exact"),), references=(WEB,),
    )  # fmt: skip
    thin = Vulnerability(
        slug="thin-cage", name="Thin cage", description="The bars let sound through.", product="Cage 2000",
        published="2018", references=(WEB,), cve="CVE-2018-99999", cwe=("CWE-20",), cvss="CVSS:3.1/AV:N",
        techniques=("lure-the-parrot",),
    )  # fmt: skip
    return Library(
        modified="2026-01-02",
        releases={},
        name="Parrot matrix",
        tactics=(
            Tactic("listening", "Listening", 0, "AML.TA0098", "TA0098", "To hear."),
            Tactic("singing", "Singing", 1),
        ),
        techniques={item.slug: item for item in (lure, soft, keys, song, robot)},
        cases={item.slug: item for item in (market, later)},
        mitigations={cover.slug: cover},
        vulnerabilities={thin.slug: thin},
        root=Path(),
    )


def proof(technique: str = "lure-the-parrot", tactic: str = "singing") -> Evidence:
    """Evidence with one figure."""
    rate = {"successes": 9, "n": 10, "low": 0.6, "high": 0.98}
    return Evidence(
        evidence_id="ev-1", created=1_600_000_000_000_000, technique=technique, tactic=tactic, system="aviary",
        case="market-day", run_id="run", seed=1, emulated=True, detected=True, responded=False, remediated=False,
        record={"figures": [{"label": "Whistle, 3 tunes", "before": rate, "detected_after": 12}]},
    )  # fmt: skip


def wide_edition(columns: int = 16) -> Edition:
    """An edition of ATLAS's shape: many columns, sub-techniques below their parents, Markdown in its texts."""
    tactics = tuple(EditionTactic(id=f"AML.TA9{n:03d}", name=f"Tactic {n}", description="Why.") for n in range(columns))
    techniques = []
    for n, tactic in enumerate(tactics):
        name = f"AML.T9{n:03d}"
        shared = (tactic.id, tactics[0].id) if n else (tactic.id,)
        techniques.append(
            EditionTechnique(
                id=name, name=f"Technique number {n}", tactics=shared, attack="T1078" if n % 2 else "",
                maturity="realized",
                description="See [number 1](/techniques/AML.T9001) and [the web](https://example.org/x).\n\n"
                "- one\n- **two**",
            )
        )  # fmt: skip
        techniques.append(
            EditionTechnique(
                id=f"{name}.000", name=f"Detail of {n}", tactics=shared, parent=name, description="<b>Bold</b>"
            )
        )
    steps = (
        EditionStep(id="S00", technique="AML.T9001.000", tactic="AML.TA9001", description="First.", leads_to=("S01",)),
        EditionStep(
            id="S01", technique="AML.T9999", tactic="AML.TA9002", description="Of a technique that is not here."
        ),
    )
    return Edition(
        source="atlas", name="Made-up atlas", version="9.9", format="atlas-6", tactics=tactics,
        techniques=tuple(techniques),
        mitigations=(
            EditionMitigation(
                id="AML.M9000", name="Be careful", description="Always.", categories=("Policy",),
                mitigates=(Mitigates("AML.T9001", "Sometimes."), Mitigates("AML.T9001", "Often.")),
            ),
        ),
        cases=(EditionCase(id="AML.CS9000", name="A case", type="exercise", date="2024", actor="We", steps=steps),),
    )  # fmt: skip


KEPT = {"source", "root", "overlay", "replay", "playbook", "samples", "format"}
"""Fields that no text of an import reaches: chosen by the program, or paths."""


def poisoned(thing: Thing, text: str = EVIL) -> Thing:
    """The same with ``text`` at the end of every text in it; ids stay consistent, as each gets the same end."""

    def through(value: Any) -> Any:
        if isinstance(value, str):
            return value + text if value else value
        if isinstance(value, (tuple, list)):
            return type(value)(through(item) for item in value)
        if isinstance(value, dict):
            return {through(key): through(item) for key, item in value.items()}
        if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value,
                **{item.name: through(getattr(value, item.name)) for item in fields(value) if item.name not in KEPT},
            )
        return value

    poisoned_thing: Thing = through(thing)
    return poisoned_thing


def library_of(columns: Sequence[Column], name: str = "Made up") -> Library:
    """A library that holds what stands in the columns, and nothing else."""
    return Library(
        name=name,
        modified="2026-01-02",
        releases={},
        tactics=tuple(column.tactic for column in columns),
        techniques={view.technique.slug: view.technique for column in columns for view in column.cells},
        cases={},
        mitigations={},
        vulnerabilities={},
        root=Path(),
    )
