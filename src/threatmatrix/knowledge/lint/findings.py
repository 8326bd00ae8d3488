"""What lint says: a finding, the check that made it, and the report of a run.

Ids are stable: ``TM-`` and F for any file, L for a library, A for an ATLAS matrix, S for STIX, M for a mapping, R for
rules.
docs/lint.md describes every check; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from threatmatrix.knowledge.yamlfile import Document, dotted

__all__ = ["CHECKS", "Check", "LintFinding", "Report", "Severity", "at", "finding"]

Severity = Literal["error", "warning", "note"]
Step = str | int


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that lint looks for. ``severity`` is what it reports unless a finding says otherwise."""

    id: str
    severity: Severity
    summary: str


def _checks(*rows: tuple[str, Severity, str]) -> dict[str, Check]:
    return {row[0]: Check(*row) for row in rows}


CHECKS: dict[str, Check] = _checks(
    # any file
    ("TM-F001-unreadable", "error", "The file cannot be read or parsed"),
    ("TM-F002-unknown-kind", "error", "The file is no matrix, bundle, layer, rule or mapping that lint knows"),
    ("TM-F003-not-read", "note", "Files in the folder that lint does not read"),
    # a library
    ("TM-L001-schema", "error", "A file of the library is not what its schema asks for"),
    ("TM-L002-unknown-id", "error", "An ATLAS or ATT&CK id that the index does not know"),
    ("TM-L003-wrong-name", "warning", "The name beside an id is not the name of that id"),
    ("TM-L004-retired-id", "warning", "An id that the newest release no longer has"),
    ("TM-L005-repeated-relation", "error", "The same id stands twice in one list of relations"),
    ("TM-L006-no-attack-id", "note", "An enterprise technique without an ATT&CK id"),
    ("TM-L007-no-needs", "warning", "A technique that does not say what the adversary needs"),
    ("TM-L008-no-telemetry", "warning", "A technique that does not say what it leaves in telemetry"),
    ("TM-L009-no-guidance", "warning", "A technique without guidance to detect, respond and remediate"),
    ("TM-L010-no-url", "note", "A reference without an address"),
    ("TM-L011-unmapped-mitigation", "note", "A mitigation that names no ATLAS id, no ATT&CK id and no control"),
    ("TM-L012-step-without-atlas", "warning", "A step of a case study without an ATLAS id"),
    ("TM-L013-repeated-step", "warning", "Two steps in a row say the same"),
    ("TM-L014-unused-vulnerability", "warning", "A vulnerability that no case study and no technique rests on"),
    ("TM-L015-mutual-enables", "note", "Two techniques that are each a step towards the other"),
    ("TM-L016-unreadable-playbook", "error", "A playbook.json that is no CACAO playbook"),
    # an ATLAS matrix, format legacy or 6
    ("TM-A001-repeated-id", "error", "Two objects have the same id"),
    ("TM-A002-dangling-reference", "error", "A tactic, technique or object is named that the file does not have"),
    ("TM-A003-no-parent", "error", "A sub-technique whose parent is absent, or not the one in its id"),
    ("TM-A004-step-outside-tactic", "warning", "A step's technique does not stand in the step's tactic"),
    ("TM-A005-unknown-key", "warning", "A key that the format does not have"),
    ("TM-A006-no-text", "warning", "An object without a name or a description"),
    ("TM-A007-no-url", "note", "A reference without an address"),
    ("TM-A008-marker-to-nothing", "error", "A [[marker]] that names no reference of its object"),
    ("TM-A009-modified-before-created", "error", "An object was modified before it was created"),
    ("TM-A010-attack-reference", "error", "The ATT&CK reference disagrees with its address, its name or the index"),
    ("TM-A011-misplaced-entry", "error", "A value of a kind that does not belong where it stands"),
    ("TM-A012-version-mismatch", "warning", "The file's name and its content state different versions"),
    ("TM-A013-vanished-id", "warning", "Ids that the release holds, or held before, and the file does not"),
    ("TM-A014-id-not-in-index", "note", "An id that the index does not know for this release"),
    ("TM-A015-name-not-in-index", "note", "A name that the index does not know for this id"),
    ("TM-A016-link-to-nothing", "warning", "A link in a text to an object that the file does not have"),
    ("TM-A017-broken-chain", "error", "A step leads to a step that its case study does not have"),
    ("TM-A018-repeated-edge", "warning", "The same relation between the same two objects stands twice"),
    ("TM-A019-unknown-version", "warning", "The file states no version, or one that the index does not know"),
    # a STIX bundle
    ("TM-S001-repeated-id", "error", "Several objects share one id: a store keeps one of them"),
    ("TM-S002-lost-relationships", "error", "More relationships than ids: how many a store loses"),
    ("TM-S003-modified-before-created", "error", "An object was modified before it was created: STIX 2.1 forbids it"),
    ("TM-S004-dangling-creator", "error", "created_by_ref names an object that the bundle does not have"),
    ("TM-S005-dangling-reference", "error", "A reference to an object that the bundle does not have"),
    ("TM-S006-no-spec-version", "error", "An object without spec_version 2.1"),
    ("TM-S007-bad-id", "error", "An id that is not <type>--<UUID> of its own type"),
    ("TM-S008-missing-property", "error", "A property that STIX 2.1 requires is missing"),
    ("TM-S009-phase-without-tactic", "warning", "A kill-chain phase that is no tactic of the bundle"),
    ("TM-S010-no-external-id", "warning", "A technique, tactic or mitigation without an external id"),
    # a mapping: table, layer or Sigma rules
    ("TM-M001-unknown-id", "error", "An id that does not exist"),
    ("TM-M002-wrong-name", "error", "The name beside an id is not the name of that id"),
    ("TM-M003-wrong-tactic", "error", "The tactic beside a technique is not one in which it stands"),
    ("TM-M004-retired-id", "error", "An id that was retired"),
    ("TM-M005-reused-id", "error", "An id that stands for another thing today than the name beside it"),
    ("TM-M006-former-name", "warning", "The name was right until a release, and is another now"),
    ("TM-M007-unknown-version", "error", "A release that does not exist"),
    ("TM-M008-id-format", "warning", "An id that is not written as its matrix writes it"),
    ("TM-M009-repeated-row", "warning", "The same row stands twice"),
    ("TM-M010-nothing-checked", "error", "No id was recognised: 0 of 0 ids is no clean result"),
    ("TM-M011-not-in-release", "error", "The id does not stand in the release that is stated"),
    ("TM-M012-unknown-slug", "error", "A threatmatrix tag that names no technique of the library"),
    ("TM-M013-former-tactic", "warning", "The technique stood in this tactic until a release"),
    # Sigma rules and suppressions, by `rules lint`
    ("TM-R001-refused", "error", "A rule, pipeline or suppression that cannot be run as it is written"),
    ("TM-R002-missing-key", "warning", "A rule without its id, description, level, tags or false positives"),
    ("TM-R003-unknown-field", "error", "A field that an event does not have"),
    ("TM-R004-bad-test", "error", "The tests that a rule carries cannot be read"),
    ("TM-R005-no-tests", "warning", "A rule that carries no tests"),
    ("TM-R006-one-sided-tests", "note", "A rule whose tests only fire, or never do"),
    ("TM-R007-repeated-title", "warning", "Two rules have the same title"),
    ("TM-R008-never-true", "error", "A condition that no event can meet"),
    ("TM-R009-always-true", "error", "A condition that every event meets"),
    ("TM-R010-true-of-nothing", "warning", "A condition that an event meets which matches nothing that it compares"),
    ("TM-R011-short-literal", "note", "A text of less than three characters is searched for: slow, and seldom meant"),
    ("TM-R012-plain-regex", "note", "A regular expression that says what a cheaper comparison says"),
    ("TM-R013-expired", "warning", "A suppression that has ended"),
    ("TM-R014-ends-soon", "note", "A suppression that ends within two weeks"),
    ("TM-R015-too-broad", "note", "A suppression for any rule"),
)


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing that is wrong, where it stands, and what to do."""

    check: str  # a key of CHECKS
    severity: Severity
    file: str
    message: str
    line: int | None = None
    key: str = ""  # dotted path in the file
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Findings in the order of files and lines, and what was looked at: ``ids``, ``rows``, ``files`` …"""

    findings: tuple[LintFinding, ...] = ()
    checked: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: Report) -> Report:
        counts = {
            key: self.checked.get(key, 0) + other.checked.get(key, 0) for key in {**self.checked, **other.checked}
        }
        return Report(self.findings + other.findings, counts)

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(item.severity == severity for item in self.findings)


def finding(check: str, file: str, message: str, *, severity: Severity | None = None, **more: object) -> LintFinding:
    """A finding of a registered check; KeyError for any other."""
    line, key, hint = more.get("line"), more.get("key", ""), more.get("hint", "")
    return LintFinding(
        check,
        severity or CHECKS[check].severity,
        file,
        message,
        line if isinstance(line, int) else None,
        str(key),
        str(hint),
    )


def at(
    document: Document,
    where: Sequence[Step],
    check: str,
    message: str,
    *,
    severity: Severity | None = None,
    hint: str = "",
) -> LintFinding:
    """A finding at a place of a document that was read."""
    line, key = document.line(where), dotted(where)
    return finding(check, document.file, message, severity=severity, line=line, key=key, hint=hint)


def in_order(findings: Iterable[LintFinding]) -> tuple[LintFinding, ...]:
    """By file, line and check, each only once."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda item: (item.file, item.line or 0, item.check, item.key, item.message)))
