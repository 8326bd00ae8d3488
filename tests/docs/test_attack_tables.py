"""The tables of docs/emulation.md and docs/targets.md hold every attack, variant and reference target, and no other."""

from __future__ import annotations

import re

from tests.docs.shown import ROOT

from threatmatrix.emulate.attacks import attack_kinds
from threatmatrix.emulate.reference import REFERENCES
from threatmatrix.emulate.variants import ADAPTIONS

EMULATION = (ROOT / "docs/emulation.md").read_text(encoding="utf-8")
TARGETS = (ROOT / "docs/targets.md").read_text(encoding="utf-8")


def first_column(text: str) -> list[str]:
    """Names in the first column, but for the heading's."""
    return [name for name in re.findall(r"^\| `([a-z0-9_-]+)` \|", text, re.MULTILINE) if name != "use"]


def test_every_attack_stands_in_the_table_as_the_registry_has_it() -> None:
    part = EMULATION.split("## Attacks", 1)[1].split("## Variants", 1)[0]
    assert sorted(first_column(part)) == sorted(kind.use for kind in attack_kinds())
    for kind in attack_kinds():
        row = (f"`{kind.use}`", kind.title, kind.access, kind.modality, kind.cost, kind.source)
        assert f"| {' | '.join(row)} |" in part


def test_every_adaption_is_explained() -> None:
    part = EMULATION.split("## Variants", 1)[1].split("## Measured", 1)[0]
    cells = "".join(re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE))
    assert set(re.findall(r"`([a-z-]+)`", cells)) == set(ADAPTIONS)


def test_every_reference_target_is_listed() -> None:
    assert first_column(TARGETS.split("## Reference targets", 1)[1]) == list(REFERENCES)
