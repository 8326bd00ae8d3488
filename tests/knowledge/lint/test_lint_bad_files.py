"""One bad file for each check, named after it: the check, the line and nothing else that would be an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from threatmatrix.knowledge import load_library
from threatmatrix.knowledge.index import load_index
from threatmatrix.knowledge.lint import CHECKS, LintFinding, lint_paths

BAD = Path(__file__).parent / "bad"
ALWAYS = {"TM-A013-vanished-id"}  # the made-up matrices are small

# file → (check, line, what is said)
EXPECTED: dict[str, tuple[str, int | None, str]] = {
    "atlas/repeated-id.yaml": ("TM-A001", 18, "AML.T0000 stands at line 11 already"),
    "atlas/dangling-reference.yaml": ("TM-A002", 15, "AML.T0000 achieves AML.TA0009: there is no tactic AML.TA0009"),
    "atlas/no-parent.yaml": ("TM-A003", 18, "does not say whose sub-technique it is"),
    "atlas/step-outside-tactic.yaml": ("TM-A004", 37, "AML.T0000.001 does not stand in AML.TA0003"),
    "atlas/unknown-key.yaml": ("TM-A005", 18, "a technique of format legacy has no 'severity'"),
    "atlas/no-text.yaml": ("TM-A006", 20, "AML.T0000.001 has no description"),
    "atlas/no-url.yaml": ("TM-A007", 39, "the reference 'A page' has no address"),
    "atlas/marker-to-nothing.yaml": ("TM-A008", 37, "[[paper-7]] is none of its references"),
    "atlas/modified-before-created.yaml": ("TM-A009", 17, "modified 2025-04-09 lies before created 2025-05-13"),
    "atlas/attack-reference.yaml": ("TM-A010", 16, "but T1596 is the one of its name"),
    "atlas/attack-reference-address.yaml": ("TM-A010", 16, "cites T1596, its address leads to T1078"),
    "atlas/misplaced-entry.yaml": ("TM-A011", 28, "an object (AML.T0000) stands in ml-lifecycle"),
    "atlas/version-mismatch-5.5.0.yaml": ("TM-A012", 3, "the file's name says 5.5.0, its content 5.6.0"),
    "atlas/vanished-id.yaml": ("TM-A013", None, "ids that 5.6.0 holds are not here"),
    "atlas/id-not-in-index.yaml": ("TM-A014", 32, "AML.CS0900 is not in the index"),
    "atlas/name-not-in-index.yaml": ("TM-A015", 19, "the index knows it as 'Pre-Print Repositories'"),
    "atlas/link-to-nothing.yaml": ("TM-A016", 20, "AML.T0000.001 links to AML.T0043"),
    "atlas/broken-chain.yaml": ("TM-A017", 17, "AML.CS0000 S00 leads to S07, which is no step"),
    "atlas/repeated-edge.yaml": ("TM-A018", 31, "AML.M0018 mitigates AML.T0000 stands twice"),
    "atlas/unknown-version.yaml": ("TM-A019", 3, "the version '9.9.9', which the index does not know"),
    "stix/repeated-id.json": ("TM-S001", 101, "2 objects with different content share relationship--"),
    "stix/lost-relationships.json": ("TM-S002", 4, "2 mitigates relationships share 1 ids: a store loses 1"),
    "stix/modified-before-created.json": ("TM-S003", 10, "AML.T0000 'Search Open Technical Databases': modified"),
    "stix/dangling-creator.json": ("TM-S004", None, "created_by_ref identity--00000000"),
    "stix/dangling-reference.json": ("TM-S005", None, "target_ref attack-pattern--00000000"),
    "stix/no-spec-version.json": ("TM-S006", 5, "has no spec_version"),
    "stix/bad-id.json": ("TM-S007", None, "'mitigates--1' is no <relationship>--<UUID>"),
    "stix/missing-property.json": ("TM-S008", None, "AML.T0000.001 'Pre-Print Repositories' has no created"),
    "stix/phase-without-tactic.json": ("TM-S009", None, "no tactic of the bundle is called 'impact'"),
    "stix/no-external-id.json": ("TM-S010", None, "has no external id"),
    "stix/no-parent.json": ("TM-A003", None, "has no subtechnique-of relationship"),
    "mapping/unknown-id.csv": ("TM-M001", 3, "ATLAS has no AML.T0999"),
    "mapping/wrong-name.csv": ("TM-M002", 3, "AML.T0015 is 'Evade AI Model', not 'LLM Jailbreak'"),
    "mapping/wrong-tactic.csv": ("TM-M003", 3, "AML.T0029 does not stand in Exfiltration"),
    "mapping/layer-wrong-tactic.json": ("TM-M003", 15, "T1486 does not stand in Initial Access"),
    "mapping/retired-id.json": ("TM-M004", 7, "'ML Intellectual Property Theft' was retired after 4.4.2"),
    "mapping/reused-id.yaml": ("TM-M005", 2, "it was 'Replicate ML Model', another thing, until 2.4.0"),
    "mapping/former-name.tsv": ("TM-M006", 3, "was called 'Poison Training Data' until 2026.06"),
    "mapping/unknown-version.csv": ("TM-M007", 3, "ATLAS has no release '8.1.0'"),
    "mapping/unknown-layer-version.json": ("TM-M007", 4, "Enterprise ATT&CK has no release '99'"),
    "mapping/id-format.csv": ("TM-M008", 3, "'aml-t15' is not how ATLAS writes the id"),
    "mapping/repeated-row.csv": ("TM-M009", 4, "the same row stands at line 2"),
    "mapping/nothing-checked.csv": ("TM-M010", None, "0 of 0 ids"),
    "mapping/not-in-release.csv": ("TM-M011", 3, "AML.T0103 does not stand in 4.9.0: it came with 5.3.0"),
    "mapping/unknown-slug.yml": ("TM-M012", 6, "no technique is called 'no-such-technique'"),
    "mapping/unknown-tag.yml": ("TM-M001", 11, "ATLAS has no AML.T0999"),
    "mapping/former-tactic.csv": ("TM-M013", 3, "AML.T0065 stood in Resource Development until 2026.06"),
    "other/unreadable.json": ("TM-F001", 2, "not valid JSON"),
    "other/unreadable-twice.json": ("TM-F001", 2, "stands twice"),
    "other/unreadable-nan.json": ("TM-F001", 1, "NaN"),
    "other/unreadable.yaml": ("TM-F001", 2, "not valid YAML"),
    "other/unreadable-bomb.yaml": ("TM-F001", None, "more than 1000000 values"),
    "other/unreadable-quote.csv": ("TM-F001", 2, "not a valid table"),
    "other/unreadable-latin1.csv": ("TM-F001", None, "not UTF-8"),
    "other/unreadable-nul.csv": ("TM-F001", None, "NUL"),
    "other/unknown-kind.txt": ("TM-F001", None, "lint does not know this kind of file"),
    "other/unknown-kind.yaml": ("TM-F002", None, "neither a list nor a mapping"),
}


def lint(*paths: Path) -> tuple[LintFinding, ...]:
    return lint_paths(paths, library=load_library(), index=load_index()).findings


@pytest.mark.parametrize("name", EXPECTED)
def test_the_check_of_its_name(name: str) -> None:
    check, line, said = EXPECTED[name]
    found = lint(BAD / name)
    hits = [item for item in found if item.check.startswith(check) and said in item.message]
    assert hits, [f"{item.check} {item.line} {item.message}" for item in found]
    if line is not None:
        assert line in {item.line for item in hits}
    others = {item.check for item in found if item.severity == "error"} - {hits[0].check} - ALWAYS
    allowed = {"TM-S001-repeated-id", "TM-S002-lost-relationships"} if name.startswith("stix/") else set()
    assert others <= allowed
    assert all(item.file == str(BAD / name) for item in found)


def test_every_file_is_named_here_and_every_check_has_one() -> None:
    files = {path.relative_to(BAD).as_posix() for path in BAD.rglob("*.*")}
    assert files - {"atlas/right.yaml", "stix/right.json"} == set(EXPECTED)
    shown = {check for check, _, _ in EXPECTED.values()}
    missing = {check for check in CHECKS if check[:7] not in shown and check[3] not in "LR"}
    assert missing == {"TM-F003-not-read"}  # a folder's: test_paths.py


@pytest.mark.parametrize("name", ["atlas/right.yaml", "stix/right.json"])
def test_the_right_ones_have_nothing_but_what_they_leave_out(name: str) -> None:
    assert {item.check for item in lint(BAD / name)} <= ALWAYS


def test_a_folder_of_bad_files_is_read_to_its_end() -> None:
    found = lint(BAD)
    assert {item.file for item in found} >= {str(BAD / name) for name in EXPECTED if "unknown-kind" not in name} - {
        str(BAD / "mapping/nothing-checked.csv")
    }
    assert any(item.check == "TM-F003-not-read" and "unknown-kind.txt" in item.message for item in found)
