"""How converted rules, refusals and the capability table are printed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from threatmatrix.cli.printing import counted, out, plain_json, safe, table, warn

if TYPE_CHECKING:
    from threatmatrix.workflows.convert import Conversion

__all__ = ["show_capabilities", "show_conversion"]


def show_conversion(report: Conversion, *, as_json: bool) -> None:
    """Each query under its title; what was refused, and why, on standard error."""
    backend = report.backend
    if as_json:
        plain_json(
            {
                "to": backend.name,
                "assumes": list(backend.assumes),
                "converted": [{**asdict(one), "logsource": dict(one.logsource)} for one in report.converted],
                "refused": [asdict(one) for one in report.refused],
                "invalid": list(map(str, report.invalid)),
            }
        )
        return
    for one in report.converted:
        where = " ".join(f"{key}={value}" for key, value in one.logsource.items())
        out().print(f"# {safe(one.title)} ({safe(where)})", soft_wrap=True, highlight=False)
        out().print(one.query, markup=False, soft_wrap=True, highlight=False)
        out().print()
    for refused in report.refused:
        warn(f"refused: {refused.title}: {'; '.join(refused.reasons)}")
    for invalid in report.invalid:
        warn(f"refused: {invalid}")
    left = len(report.refused) + len(report.invalid)
    warn(f"{counted(len(report.converted), 'rule')} for {backend.title}, {left} refused. They mean the same where")
    for assumed in (*backend.assumes, "each query runs over the records of its rule's logsource"):
        warn(f"  - {assumed}")


def show_capabilities(to: str, *, as_json: bool) -> None:
    """What each backend changes; an empty cell keeps its meaning. Raises UnknownNameError."""
    from threatmatrix.detect.convert.capabilities import BACKENDS, FEATURES, backend_named
    from threatmatrix.detect.sigma.rules import KINDS

    chosen = [backend_named(to)] if to else list(BACKENDS.values())
    if as_json:
        plain_json(
            [
                {
                    "name": one.name,
                    "title": one.title,
                    "assumes": list(one.assumes),
                    "features": {name: one.features.get(name, "") for name in FEATURES},
                    "correlations": dict(one.correlations),
                    "expression": one.expression,
                }
                for one in chosen
            ]
        )
        return
    if to:
        made = table("", "a rule with", f"{chosen[0].title}")
        for feature, words in FEATURES.items():
            made.add_row(words, chosen[0].features.get(feature, "[green]as written[/]"))
        for kind in KINDS:
            made.add_row(f"correlation {kind}", chosen[0].correlations[kind])
        made.add_row("correlation with a condition over rules", chosen[0].expression)
        out().print(made)
        return
    made = table("", "a rule with", *(one.name for one in chosen))
    for feature, words in FEATURES.items():
        made.add_row(words, *("refused" if feature in one.features else "[green]as written[/]" for one in chosen))
    for kind in KINDS:
        made.add_row(f"correlation {kind}", *("refused" for _ in chosen))
    out().print(made)
    out().print("\nWhy: threatmatrix rules convert --capabilities --to NAME")
