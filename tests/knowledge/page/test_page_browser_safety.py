"""The page in a real browser: hostile content never runs, and axe-core finds nothing that shuts somebody out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.knowledge.page.reading import NARROW, WIDE, Reader, page_of
from tests.knowledge.page.small import poisoned, proof, small_library, wide_edition

from threatmatrix.knowledge import Library
from threatmatrix.knowledge.page.assessment import assessment_page
from threatmatrix.knowledge.page.html import edition_page
from threatmatrix.model.assessment import SIGHTS, Assessment, Gain, Lack, Sight
from threatmatrix.model.system import ModelEntry, System

# --- hostile content ----------------------------------------------------------------------------------


def walk(page: Any) -> None:
    """Read everything there is: each view, a search, a chain, everything unfolded."""
    seen = page.evaluate(
        """async () => {
            const names = [...document.querySelectorAll(".view")].map(view => view.id);
            const seen = [];
            for (const name of names.reverse()) {
                const followed = new Promise(done => addEventListener("hashchange", done, { once: true }));
                location.hash = "#" + name.split("/").map(encodeURIComponent).join("/");
                await followed;
                seen.push(document.querySelector(".view.current").id === name);
            }
            return seen;
        }"""
    )
    assert len(seen) > 10
    assert all(seen)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for query in ("script", "img onerror", "window.__x"):
        page.fill("#search", query)
        assert page.locator("#results a").count()
    for button in page.locator("button.trace").all():
        button.evaluate("button => button.click()")


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "without its policy"])
def test_hostile_text_never_runs(reader: Reader, policy: bool) -> None:
    """Escaping alone must be enough: the Content-Security-Policy is the second wall, not the first."""
    library, item = poisoned(small_library()), poisoned(proof())
    library = Library(**{name: getattr(library, name) for name in ("name", "modified", "releases", "tactics", "root")},
        **{name: {entry.slug: entry for entry in getattr(library, name).values()}
           for name in ("techniques", "cases", "mitigations", "vulnerabilities")})  # fmt: skip
    for content in (page_of(library, (item,)), edition_page(poisoned(wide_edition(3)))):
        if not policy:
            assert content.count("http-equiv") == 1
            content = content.replace("http-equiv", "data-was", 1)  # noqa: PLW2901
        page = reader.open(content)
        walk(page)
        assert page.evaluate("typeof window.__x") == "undefined"
        assert page.locator("script").count() == page.locator("style").count() == 1
        assert page.locator("img, iframe, object, embed, base, form, link, [onerror], [onload], [style]").count() == 0
        links = page.evaluate("[...document.querySelectorAll('a')].map(link => link.protocol)")
        assert set(links) <= {"file:", "https:"}


def test_a_link_of_hostile_ids_still_leads_to_its_view(reader: Reader) -> None:
    page = reader.open(edition_page(poisoned(wide_edition(3))))
    page.locator(".cell").nth(2).click()
    assert page.locator("article:visible h2").inner_text().startswith("Technique number")


# --- accessibility ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe() -> Any:
    """axe-core (MPL-2.0), which the test package carries; nothing of it is shipped."""
    module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    return module.Axe()


VIEWS = ("#matrix", "#technique/lure-the-parrot", "#case/market-day")


@pytest.mark.parametrize(
    "case",
    [
        (WIDE, "light", (*VIEWS, "#trace/market-day")),
        (WIDE, "dark", VIEWS),
        (NARROW, "dark", VIEWS),
    ],
    ids=["wide light", "wide dark", "narrow dark"],
)
def test_axe_finds_no_violation(
    reader: Reader, text: str, axe: Any, case: tuple[dict[str, int], str, tuple[str, ...]]
) -> None:
    viewport, scheme, addresses = case
    page = reader.open(text, viewport=viewport, color_scheme=scheme)
    for address in addresses:
        page.evaluate(f"location.hash = '{address}'")
        results = axe.run(page)
        assert results.violations_count == 0, f"{address}: {results.generate_report()}"
    if scheme == "light":
        page.fill("#search", "whistle")
        results = axe.run(page)
        assert results.violations_count == 0, results.generate_report()


def test_axe_finds_no_violation_in_the_shipped_matrix_or_a_wide_import(reader: Reader, shipped: str, axe: Any) -> None:
    for content in (shipped, edition_page(wide_edition(10), marks={})):
        page = reader.open(content)
        page.evaluate(
            "document.querySelectorAll('.view:not(.current)').forEach(view => view.remove())"
        )  # unseen anyway
        results = axe.run(page)
        assert results.violations_count == 0, results.generate_report()


HOSTILE = "<img src=x onerror=alert(1)></style><script>alert(2)</script>\"'\u202e"


def assessed(name: str, library: Library) -> Assessment:
    """A system in which every status occurs, and a source that says something hostile."""
    techniques = tuple(library.techniques.values())
    sights = tuple(
        Sight(techniques[n % len(techniques)], status, (name,), (name,), (Lack(name, "inference", (name,)),), (name,))
        for n, status in enumerate(SIGHTS)
    )
    gain = Gain((name, "nginx"), name, *((techniques[0].slug,),) * 3)
    system = System(name=name, owner=name, criticality="high", models=(ModelEntry("m"),))
    return Assessment(system, "lake", (), {"inference": ("time",)}, sights, techniques[-1:], (gain,), (name,))


def test_an_assessment_shuts_nobody_out_and_runs_nothing(reader: Reader, axe: Any) -> None:
    library = small_library()
    content = assessment_page([assessed(name, library) for name in ("parrots", HOSTILE)], library.tactics)
    for viewport, scheme in ((WIDE, "light"), (NARROW, "dark")):
        page = reader.open(content, viewport=viewport, color_scheme=scheme)
        results = axe.run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.scripts.length + document.images.length") == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "only tables scroll, by themselves"
        assert page.evaluate("Math.min(...[...document.querySelectorAll('td')].map(cell => cell.clientWidth))") > 40
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll", "reached by keyboard, arrows scroll it"
    page.locator(".columns a").first.press("Enter")
    assert page.locator("tr:target").count() == 1
