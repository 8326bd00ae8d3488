"""ATLAS's YAML up to 5.6: what is read, and that writing gives it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from tests.knowledge.editions.made import LEGACY, editions, legacy, v6

from threatmatrix.knowledge.editions import atlas_legacy, atlas_v6
from threatmatrix.knowledge.editions.reading import YAML_LIMITS, read_edition
from threatmatrix.knowledge.yamlfile import parse_yaml
from threatmatrix.model.edition import Edition, Mitigates
from threatmatrix.model.procedure import Reference

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def edited(*changes: tuple[str, str]) -> Edition:
    text = LEGACY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    edition = atlas_legacy.read(legacy(text))
    assert yaml.safe_load(atlas_legacy.write(edition)) == yaml.safe_load(text)
    return edition


def test_every_part_is_read() -> None:
    edition = atlas_legacy.read(legacy())
    assert (edition.ref, edition.format, edition.name) == ("atlas@5.2.0", "atlas-legacy", "Made-up Threats")
    assert [(item.id, item.attack, item.created) for item in edition.tactics] == [
        ("AML.TA0002", "TA0043", "2022-01-24"),
        ("AML.TA0000", "", "2021-05-13"),
    ]
    peek, twice = edition.techniques
    assert (peek.maturity, peek.description) == ("demonstrated", "Said in two paragraphs.\n\nThis is the second.")
    assert twice.parent == peek.id
    assert twice.tactics == peek.tactics == ("AML.TA0002", "AML.TA0000")
    (case,) = edition.cases
    assert (case.type, case.date, case.reporter, case.description) == (
        "exercise",
        "2020-04",
        "A neighbour",
        "Somebody looked in.",
    )
    assert case.references == (Reference("The local paper", "https://example.org/paper"),)
    assert [(step.id, step.technique, step.leads_to) for step in case.steps] == [
        ("S00", "AML.T0001", ("S01",)),
        ("S01", "AML.T0001.000", ("S02",)),
        ("S02", "AML.T0001", ()),
    ]


def test_the_ids_of_upstreams_stix_are_derived() -> None:
    # uuid5 of the id in ATLAS's namespace; the value stands in its published bundle
    text = LEGACY.replace("AML.T0001", "AML.T0040")
    technique = atlas_legacy.read(legacy(text)).techniques[0]
    assert technique.stix_id == "attack-pattern--5ac1f849-523e-51bf-a1e9-1a97ab91cc91"


def test_what_strayed_into_the_lifecycle_is_noted_and_kept() -> None:
    edition = atlas_legacy.read(legacy())
    (curtain,) = edition.mitigations
    assert curtain.lifecycle == ("Deployment", "Monitoring and Maintenance")
    assert curtain.extra["ml-lifecycle"][1]["id"] == "AML.T0001"
    assert curtain.mitigates == (
        Mitigates("AML.T0001", "Draw it at night."),
        Mitigates("AML.T0001.000", "Draw it twice."),
    )
    (note,) = edition.notes
    assert (note.where, note.line) == ("matrices[0].mitigations[0].ml-lifecycle[1]", 58)


def test_the_file_comes_back_to_the_byte() -> None:
    assert atlas_legacy.write(atlas_legacy.read(legacy())) == LEGACY


def test_old_words_and_absent_fields() -> None:
    edition = edited(
        ("version: 5.2.0", "version: 3.1"),
        ("  reporter: A neighbour", "  reported-by: A neighbour"),
        ("    maturity: demonstrated\n", ""),
        ("    created_date: 2022-01-24\n    modified_date: 2025-04-09\n", ""),
        ("  references:\n  - title: The local paper\n    url: https://example.org/paper\n", "  references: null\n"),
    )
    assert (edition.version, edition.cases[0].reporter, edition.cases[0].references) == ("3.1", "A neighbour", ())
    assert (edition.tactics[0].created, edition.techniques[0].maturity) == ("", "")


def test_lists_at_the_top_of_the_file_as_before_2_2() -> None:
    data = yaml.safe_load(LEGACY)
    matrix = data.pop("matrices")[0]
    flat = {**data, "tactics": matrix["tactics"], "techniques": matrix["techniques"]}
    text = yaml.safe_dump(flat, sort_keys=False)
    edition = atlas_legacy.read(parse_yaml(text, file="f", limits=YAML_LIMITS))
    assert (len(edition.tactics), len(edition.techniques), len(edition.cases)) == (2, 2, 1)
    assert yaml.safe_load(atlas_legacy.write(edition)) == flat


@pytest.mark.parametrize(("where", "kind"), [("top", "mitigations"), ("matrix", "case-studies"), ("nowhere", "x")])
def test_lists_that_stand_elsewhere_stay_there(where: str, kind: str) -> None:
    data = yaml.safe_load(LEGACY)
    matrix = data["matrices"][0]
    if where == "top":
        data[kind] = matrix.pop(kind)
    elif where == "matrix":
        matrix[kind] = data.pop(kind)
    else:
        del data["case-studies"], matrix["mitigations"]
    edition = atlas_legacy.read(parse_yaml(yaml.safe_dump(data), file="f", limits=YAML_LIMITS))
    assert bool(edition.cases) == bool(edition.mitigations) == (where != "nowhere")
    assert yaml.safe_load(atlas_legacy.write(edition)) == data


def test_unknown_keys_are_named_and_come_back() -> None:
    edition = edited(
        ("    object-type: tactic\n", "    object-type: tactic\n    colour: {red: [1, 2.5, null, true]}\n"),
        ("    description: They walked past.\n", "    description: They walked past.\n    weather: fine\n"),
        ("case-studies:", "licence: free\ncase-studies:"),
    )
    assert {note.where for note in edition.notes} >= {
        "licence",
        "matrices[0].tactics[0].colour",
        "case-studies[0].procedure[0].weather",
    }
    assert edition.tactics[0].extra == {"colour": {"red": [1, 2.5, None, True]}}
    assert edition.cases[0].steps[0].extra == {"weather": "fine"}


def test_a_release_that_is_not_known_is_read_with_a_note() -> None:
    edition = edited(("version: 5.2.0", "version: 9.1.0"))
    assert edition.version == "9.1.0"
    assert any(note.where == "version" and "9.1.0" in note.what for note in edition.notes)


def test_a_version_without_quotes_keeps_its_month() -> None:
    assert edited(("version: 5.2.0", "version: 2026.10")).version == "2026.10"


def test_a_date_that_no_calendar_has_stays_text() -> None:
    text = LEGACY.replace("2022-01-24", "'2022-02-31'")
    edition = atlas_legacy.read(legacy(text))
    assert yaml.safe_load(atlas_legacy.write(edition))["matrices"][0]["tactics"][0]["created_date"] == "2022-02-31"


def test_html_is_text_like_any_other() -> None:
    script = "<script>alert(1)</script>"
    edition = edited(("name: Peek\n", f"name: {script}\n"), ("  actor: Unknown", f"  actor: {script}"))
    assert (edition.techniques[0].name, edition.cases[0].actor) == (script, script)


def test_a_change_wins_over_what_was_read() -> None:
    from dataclasses import replace

    edition = atlas_legacy.read(legacy())
    curtain = replace(edition.mitigations[0], lifecycle=("Deployment",))
    text = atlas_legacy.write(replace(edition, mitigations=(curtain,)))
    written: Any = yaml.safe_load(text)["matrices"][0]["mitigations"][0]
    assert written["ml-lifecycle"] == ["Deployment"]
    assert atlas_legacy.read(legacy(text)).mitigations == (curtain,)


@settings(max_examples=20)
@given(editions())
def test_any_edition_comes_back(edition: Edition) -> None:
    assert atlas_legacy.read(legacy(atlas_legacy.write(edition))) == edition


def test_an_edition_of_format_6_comes_back() -> None:
    edition = atlas_v6.read(v6())
    again = atlas_legacy.read(legacy(atlas_legacy.write(edition)))
    assert again == edition
    assert atlas_v6.write(again) == atlas_v6.write(edition)


@pytest.mark.parametrize("name", ["ATLAS-4.9.0.yaml", "ATLAS-5.6.1.yaml"])
def test_published_releases_come_back(name: str) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip("needs ../shared")
    original = path.read_text(encoding="utf-8")
    edition = read_edition(path)
    text = atlas_legacy.write(edition)
    assert yaml.load(text, yaml.CSafeLoader) == yaml.load(original, yaml.CSafeLoader)
    assert text == original
    assert atlas_legacy.read(parse_yaml(text, file=name, limits=YAML_LIMITS)) == edition


def test_the_figures_of_5_6_1() -> None:
    path = SHARED / "ATLAS-5.6.1.yaml"
    if not path.is_file():
        pytest.skip("needs ../shared")
    edition = read_edition(path)
    assert edition.version == "5.6.0"  # what the file says
    assert len(edition.tactics) == 16
    assert [sum(bool(item.parent) is sub for item in edition.techniques) for sub in (False, True)] == [101, 69]
    assert sum(len(item.mitigates) for item in edition.mitigations) == 246
    assert [sum(case.type == kind for case in edition.cases) for kind in ("exercise", "incident")] == [40, 17]
    assert sum(len(case.steps) for case in edition.cases) == 449
    assert [note.where for note in edition.notes] == [
        "matrices[0].mitigations[18].ml-lifecycle[6]",
        "matrices[0].mitigations[34].ml-lifecycle[4]",
    ]
