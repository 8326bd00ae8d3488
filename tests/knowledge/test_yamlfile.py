from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.knowledge.yamlfile import Limits, dotted, load_yaml, parse_yaml
from threatmatrix.model.errors import FormatError, InputError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\x85\ufeff"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz-_ é", max_size=6), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def parse(text: str, **limits: int) -> Any:
    return parse_yaml(text, file="f.yaml", limits=Limits(**limits)).data


def test_a_float_comes_back_with_all_of_its_digits() -> None:
    assert parse("a: 0.0019095601762707634") == {"a": 0.0019095601762707634}


@given(PLAIN)
def test_what_pyyaml_writes_comes_back(data: Any) -> None:
    # default_style '"' quotes strings and marks the rest by tags, so write plainly and compare what YAML 1.2 agrees on.
    text = yaml.safe_dump({"data": data}, allow_unicode=True, sort_keys=False)
    ours = parse(text)["data"]
    theirs = yaml.safe_load(text)["data"]
    assert theirs == data
    assert ours == data


@given(st.text(max_size=200))
def test_any_text_is_data_or_a_format_error(text: str) -> None:
    with contextlib.suppress(FormatError):
        parse(text)


@given(st.text(alphabet="-:[]{}&*!|>\"'#? \n\tab1", max_size=120))
def test_yaml_like_text_is_data_or_a_format_error(text: str) -> None:
    try:
        document = parse_yaml(text, file="f.yaml")
    except FormatError:
        return
    for where, line in document.lines.items():
        here = document.data
        for step in where:
            here = here[step]
        assert line >= 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("true", True), ("null", None), ("~", None), ("", None), ("12:30", "12:30"),
        ("2026-11-21", "2026-11-21"), ("010", "010"), ("0x10", "0x10"), ("1_000", "1_000"), ("7", 7), ("-7", -7),
        ("1e-3", 0.001), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), (".nan", ".nan"), (".inf", ".inf"), ("'7'", "7"),
        ("!!str 7", "7"), ("9" * 40, "9" * 40),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    got = parse(f"key: {text}\n")["key"]
    assert got == value
    assert type(got) is type(value)


def test_a_million_brackets_end_in_an_error_and_not_in_a_crash() -> None:
    with pytest.raises(FormatError, match="nested deeper"):
        parse("[" * 1_000_000)
    with pytest.raises(FormatError, match="nested deeper"):
        parse("a:\n" + "".join(f"{' ' * depth}- \n" for depth in range(1, 40)), depth=10)


def test_an_alias_costs_what_it_stands_for() -> None:
    text = "a: &a [1, 2, 3]\nb: [*a, *a]\n"
    assert parse(text)["b"] == [[1, 2, 3], [1, 2, 3]]
    assert parse(text, nodes=15)
    with pytest.raises(FormatError, match="more than 12 values"):
        parse(text, nodes=12)


def test_lines_of_keys_and_of_list_entries() -> None:
    document = parse_yaml("a: 1\nsteps:\n  - x: 1\n    y: 2\n  - x: 3\n", file="f")
    assert document.line(("steps", 0, "y")) == 4
    assert document.line(("steps", 1)) == 5
    assert document.line(("steps", 1, "missing", "deeper")) == 5
    assert dotted(("steps", 1, "x")) == "steps[1].x"


def test_unreadable_files_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="not a regular file"):
        load_yaml(tmp_path)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match="not a regular file"):
        load_yaml(tmp_path / "pipe.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("a: " + "x" * 300_000)
    with pytest.raises(InputError, match="larger than 262144 bytes"):
        load_yaml(large)


def test_floats_are_finite() -> None:
    assert parse("a: 1.0e300")["a"] == 1.0e300
    assert parse("a: 1.0e999")["a"] == "1.0e999"
