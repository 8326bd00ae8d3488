"""``threatmatrix emulate``: what there is to run, what it would cost, what is refused; JSON beside each table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, json_of

from threatmatrix.emulate.attacks import attack_kinds
from threatmatrix.emulate.reference import REFERENCES


def test_procedures_are_listed_whole_and_by_technique(cli: Cli) -> None:
    listed = json_of(cli("emulate", "list", "--format", "json"))
    assert {"square", "hop-skip-jump", "transfer", "read-metadata"} <= {each["id"] for each in listed}
    some = json_of(cli("emulate", "list", "--technique", "online-evasion", "--format", "json"))
    assert {each["technique"] for each in some} == {"online-evasion"}
    assert "hop-skip-jump" in cli("emulate", "list").out
    assert "no technique" in cli("emulate", "list", "--technique", "nonsense").error


def test_a_procedure_is_shown_with_its_budget_and_its_revert(cli: Cli) -> None:
    shown = cli("emulate", "show", "hop-skip-jump")
    assert shown.code == 0
    for word in ("random_control", "600 queries", "Nothing to revert", "near-duplicate-clusters"):
        assert word in shown.out
    assert json_of(cli("emulate", "show", "square", "--format", "json"))["steps"][0]["use"] == "square"
    assert "Did you mean square" in cli("emulate", "show", "sqare").error


def test_every_attack_and_reference_target_is_listed(cli: Cli) -> None:
    attacks = json_of(cli("emulate", "attacks", "--format", "json"))
    assert [each["use"] for each in attacks] == [kind.use for kind in attack_kinds()]
    assert all(each["source"] and each["cost"] for each in attacks)
    assert set(json_of(cli("emulate", "targets", "--format", "json"))["references"]) == set(REFERENCES)
    assert "reference:NAME" in cli("emulate", "targets").out
    assert cli("emulate", "attacks").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "http://127.0.0.1:1"), "does not say which protocol"),
        (("--target", "python:os:system"), "no target of the command line"),
        (("--target", "reference:cats"), "no reference target is called"),
        (("--target", "oip:http://127.0.0.1:1/v2/models/m"), "needs a scope"),
        (("--target", "reference:digits", "--variant", "adaptive-luck"), "no variant is called"),
        (("--target", "template:none.yaml"), "none.yaml"),
    ],
)
def test_what_cannot_be_attacked_is_refused(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    refused = cli("emulate", "run", "square", *arguments)
    assert refused.code == 2
    assert said in refused.error


def test_a_dry_run_multiplies_out_and_leaves_nothing(cli: Cli, place: Path) -> None:
    planned = json_of(
        cli(
            "emulate", "run", "square", "--target", "reference:digits", "--samples", 10, "--dry-run", "--format", "json"
        )
    )
    assert [(line["variant"], line["attack"]) for line in planned["lines"]] == [
        ("before the attack", 0),
        ("plain", 2000),
        ("random-control", 2000),
    ]
    looks = planned["lines"][0]["confirmation"]
    assert planned["max_queries"] == 2 * (10 * 200 + 10 * 5) + looks
    assert list(place.iterdir()) == []


def test_there_is_nothing_to_clean_up_yet(cli: Cli) -> None:
    assert "No emulations yet" in cli("emulate", "status").out
    assert json_of(cli("emulate", "status", "--format", "json")) == []
    assert "no emulation is called" in cli("emulate", "clean-up", "square-1").error


def test_a_reference_target_that_is_none_is_not_served(cli: Cli) -> None:
    assert "no reference target is called" in cli("emulate", "serve", "cats").error


def test_replays_are_planned_one_or_all(cli: Cli) -> None:
    one = json_of(cli("replay", "microsoft-edge-ai", "--dry-run", "--format", "json"))
    assert one["case"] == "microsoft-edge-ai"
    every = json_of(cli("replay", "--all", "--dry-run", "--format", "json"))
    assert one in every
    assert "name one case study, or give --all" in cli("replay").error
    assert "name one case study, or give --all" in cli("replay", "microsoft-edge-ai", "--all").error
    small = json_of(cli("replay", "microsoft-edge-ai", "--profile", "small", "--dry-run", "--format", "json"))
    assert small["max_queries"] < one["max_queries"]


def test_an_evidence_file_is_verified(cli: Cli, place: Path) -> None:
    (place / "other.jsonl").write_text(json.dumps({"no": "evidence"}) + "\n")
    checked = cli("evidence", "verify", "other.jsonl")
    assert checked.code == 1
    assert "line 1 is no record" in checked.out
