from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from tests.knowledge.page.small import library_of

from threatmatrix.knowledge import Library, load_library
from threatmatrix.knowledge.navigator import navigator_layer, navigator_layers
from threatmatrix.knowledge.page.html import matrix_page
from threatmatrix.knowledge.view import CellView, Marks, columns_of, figures_of
from threatmatrix.model.evidence import Evidence, Rate
from threatmatrix.model.matrix import Cell, ExternalId, Tactic, Technique
from threatmatrix.model.procedure import Reference

RATE = {"successes": 49, "n": 60, "low": 0.7, "high": 0.89}
RECORD = {
    "figures": [
        {
            "label": "HopSkipJump, L2 ≤ 1",
            "before": RATE,
            "after": {"successes": 4, "n": 60, "low": 0.03, "high": 0.16},
            "detected_after": 18, "control": "input noise",
        }
    ]
}  # fmt: skip
EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&"


def evidence(technique: str, tactic: str, created: int = 1, system: str = "s", **more: Any) -> Evidence:
    marks = {name: more.pop(name, False) for name in ("emulated", "detected", "responded", "remediated")}
    return Evidence(
        evidence_id=f"ev-{created}", created=created, technique=technique, tactic=tactic, system=system, case=None,
        run_id="run", seed=7, **marks, **more,
    )  # fmt: skip


def views(library: Library, items: list[Evidence]) -> list[CellView]:
    return [CellView.of(cell, library.technique(cell.technique), items) for cell in library.cells()]


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library()


@pytest.fixture(scope="module")
def cells(library: Library) -> list[CellView]:
    return views(
        library,
        [
            evidence(
                "online-evasion", "model-evasion", emulated=True, detected=True, responded=True, remediated=True,
                record=RECORD,
            ),
            evidence("execution-via-api", "execution", emulated=True),
        ],
    )  # fmt: skip


# --- the view -----------------------------------------------------------------------------------------


def test_evidence_of_one_column_does_not_colour_the_other(library: Library) -> None:
    technique = library.technique("model-stealing")
    item = evidence("model-stealing", "exfiltration", emulated=True)
    assert CellView.of(Cell("exfiltration", "model-stealing"), technique, [item]).marks == Marks(emulated=True)
    assert CellView.of(Cell("reconnaissance", "model-stealing"), technique, [item]).marks == Marks()


def test_the_newest_evidence_of_each_system_counts(library: Library) -> None:
    technique = library.technique("online-evasion")
    cell = Cell("model-evasion", "online-evasion")
    old = evidence("online-evasion", "model-evasion", 1, emulated=True, detected=True)
    new = evidence("online-evasion", "model-evasion", 2, emulated=True)
    other = evidence("online-evasion", "model-evasion", 1, "another", responded=True)
    assert CellView.of(cell, technique, [old, new]).marks == Marks(emulated=True)
    assert CellView.of(cell, technique, [old, new, other]).marks == Marks(emulated=True, responded=True)
    assert [item.created for item in CellView.of(cell, technique, [old, new]).evidence] == [2, 1]


def test_a_cell_without_evidence_has_no_mark_however_much_the_library_holds(library: Library) -> None:
    view = CellView.of(Cell("model-evasion", "online-evasion"), library.technique("online-evasion"))
    assert view.procedures
    assert view.controls
    assert view.marks.count == 0


def test_figures_are_read_from_the_record_and_nonsense_is_passed_over() -> None:
    (figure,) = figures_of(RECORD)
    assert figure.before == Rate(49, 60, 0.7, 0.89)
    assert figure.adaptive is None
    assert figure.detected_after == 18
    for record in ({}, {"figures": "x"}, {"figures": 3}, {"figures": [1, {}, {"label": ""}]}):
        assert figures_of(record) == ()
    (odd,) = figures_of({"figures": [{"label": "x", "before": {"n": "many"}, "after": 3, "detected_after": "soon"}]})
    assert (odd.before, odd.after, odd.detected_after) == (None, None, None)


# --- the Navigator --------------------------------------------------------------------------------------


def test_the_ml_layer_is_on_atlas_and_the_grey_cells_on_attack(cells: list[CellView]) -> None:
    layers = navigator_layers(cells)
    ml, enterprise = layers["ml"], layers["enterprise"]
    assert (ml["domain"], enterprise["domain"]) == ("atlas-atlas", "enterprise-attack")
    assert ml["customDataURL"].endswith("stix-atlas.json")
    assert "customDataURL" not in enterprise
    assert all(re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", item["techniqueID"]) for item in ml["techniques"])
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", item["techniqueID"]) for item in enterprise["techniques"])
    for layer in (ml, enterprise):
        assert layer["versions"]["layer"] == "4.5"
        ids = [item["techniqueID"] for item in layer["techniques"]]
        assert len(ids) == len(set(ids))
        assert json.loads(json.dumps(layer)) == layer


def test_only_exact_and_close_ids_are_scored(cells: list[CellView]) -> None:
    by_id = {item["techniqueID"]: item for item in navigator_layer(cells)["techniques"]}
    assert by_id["AML.T0043.001"]["score"] == 4  # close to online evasion
    assert by_id["AML.T0015"]["score"] == 0  # exact for evasion attack, which has no evidence of its own
    assert "covers only as broader" in by_id["AML.T0015"]["comment"]
    assert "score" not in by_id["AML.T0043"]  # partial only


def test_cells_without_an_id_are_named_in_the_layer(cells: list[CellView]) -> None:
    layer = navigator_layer(cells, kind="enterprise", name="ours")
    assert layer["name"] == "ours"
    assert {"name": "cells without an id here", "value": "Stolen intellectual property"} in layer["metadata"]


def test_the_layer_has_the_fields_of_format_4_5(cells: list[CellView]) -> None:
    layer = navigator_layer(cells)
    assert {"name", "versions", "domain", "description", "techniques", "gradient", "legendItems"} <= set(layer)
    for item in layer["techniques"]:
        assert set(item) <= {"techniqueID", "enabled", "comment", "metadata", "score", "color", "showSubtechniques"}
        assert all(set(entry) == {"name", "value"} for entry in item["metadata"])
    assert layer["gradient"]["minValue"] < layer["gradient"]["maxValue"]


# --- the page -------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Collects what a browser would load, run or name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("style", "script"):
            self.text[self._inside] = self.text.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def text(library: Library, cells: list[CellView]) -> str:
    return matrix_page(columns_of(library.tactics, cells), library=library, subtitle="sub", generated="today")


def test_the_page_loads_nothing_and_allows_only_its_own_style_and_script(text: str) -> None:
    page = Page(text)
    names = {name for name, _ in page.tags}
    assert not names & {"link", "img", "iframe", "object", "embed", "base", "form", "video", "audio"}
    assert len(page.all("script")) == len(page.all("style")) == 1
    for name, attributes in page.tags:
        assert "src" not in attributes, name
        assert "style" not in attributes, name
        assert not [key for key in attributes if key.startswith("on")], name
        if name == "use":
            assert str(attributes["href"]).startswith("#")
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]
    policy = next(str(item["content"]) for item in page.all("meta") if "http-equiv" in item)
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.text[tag].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_every_cell_links_to_its_technique_and_says_its_marks_in_words(
    text: str, library: Library, cells: list[CellView]
) -> None:
    page = Page(text)
    links = [item for item in page.all("a") if str(item.get("class", "")).startswith("cell ")]
    assert len(links) == len(cells)
    ids = [item["id"] for _, item in page.tags if "id" in item]
    assert len(ids) == len(set(ids))
    assert {str(item["href"]) for item in links} == {f"#technique/{view.technique.slug}" for view in cells}
    assert {f"technique/{slug}" for slug in library.techniques} <= set(ids)
    orange = sum(view.technique.kind == "ml" for view in cells)
    assert sum("ml" in str(item["class"]).split() for item in links) == orange
    assert "ML sub-technique; evidence: emulated, detected, responded, remediated" in text
    assert "evidence: none yet" in text


def test_every_link_within_the_page_leads_somewhere(text: str) -> None:
    page = Page(text)
    ids = {item["id"] for _, item in page.tags if "id" in item}
    inner = {str(item["href"]) for item in page.all("a") if str(item["href"]).startswith("#")}
    assert inner
    assert {unquote(link[1:]) for link in inner} <= ids


def test_the_page_shows_the_figures_with_their_intervals(text: str) -> None:
    assert "0.82 [0.70, 0.89] → 0.07 [0.03, 0.16]" in text
    assert "Detected after 18 queries" in text
    assert "In force afterwards: input noise" in text
    sums = text.split('<ul class="sums"')[1].split("</ul>", 1)[0]
    assert re.search(r"2 <small>of \d+ cells</small>.*<em>emulated", sums)
    assert re.search(r"1 <small>of \d+ cells</small>.*<em>remediated", sums)


def test_the_page_is_the_same_for_the_same_input(library: Library, cells: list[CellView], text: str) -> None:
    again = matrix_page(columns_of(library.tactics, cells), library=library, subtitle="sub", generated="today")
    assert again == text


def test_hostile_text_stays_text() -> None:
    technique = Technique(
        slug="x", name=EVIL, kind="ml", tactics=("t",), description=EVIL, atlas=(ExternalId(EVIL, EVIL, "exact"),),
        references=(Reference(EVIL, "javascript:alert(3)"), Reference("ok", 'https://example.org/"><b>')),
    )  # fmt: skip
    item = evidence(
        "x", "t", system=EVIL, emulated=True, record={EVIL: EVIL, "figures": [{"label": EVIL}]}, digest=EVIL
    )
    item = replace(item, seed=EVIL)  # type: ignore[arg-type]  # a record that somebody else wrote
    column = columns_of([Tactic("t", EVIL, 0, EVIL)], [CellView.of(Cell("t", "x"), technique, [item])])
    page = Page(matrix_page(column, library=library_of(column, EVIL), title=EVIL, subtitle=EVIL, generated=EVIL))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not page.all("b")
    links = [str(item["href"]) for item in page.all("a")]
    assert [link for link in links if not link.startswith("#")] == ['https://example.org/"><b>']
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_an_empty_column_says_so() -> None:
    columns = columns_of([Tactic("t", "T", 0)], [])
    assert "no technique" in matrix_page(columns, library=library_of(columns))
