"""The SQL of a plan: lines → the columns of events, and which of the rows are certain."""

# ruff: noqa: S608 - of the log only names that plan.KEY allows stand in SQL, quoted, and lists of quoted texts

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.columnar.plan import Kind, Plan
from threatmatrix.telemetry.columnar.shapes import Shape, Shapes
from threatmatrix.telemetry.columns import quote_name as q

__all__ = ["address", "first_text", "integer_up_to", "iso_time", "literal", "read_lines", "rounds", "trace_id", "typed"]

_SEPARATOR = "chr(2)"  # stands in no line: see chunks.for_reading
_INTEGER = "[0-9]{1,18}"
_NUMBER = "-?(?:0|[1-9][0-9]{0,17})(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?"
_QUOTED_NUMBER = "[0-9]{1,15}(?:\\.[0-9]{1,15})?"
_ISO = (
    "(?:19[789][0-9]|[2-9][0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{3}|\\.[0-9]{6})?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"
)
_SQL: dict[Kind, str] = {"text": "VARCHAR", "integer": "UBIGINT", "number": "DOUBLE", "numbers": "DOUBLE[]"}


def literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def first_text(*keys: str) -> str:
    """The first of these texts that says something, as ``readers.base.text`` has it."""
    options = ", ".join(f"nullif(nullif({q(key)}, ''), '-')" for key in keys)
    return options if len(keys) == 1 else f"coalesce({options})"


def integer_up_to(column: str, most: int) -> str:
    return f"({column} IS NULL OR {column} <= {most})"


def _finite(column: str) -> str:
    return f"({column} IS NULL OR isfinite({column}))"


def iso_time(text: str) -> tuple[str, str]:
    """(µs since 1970, condition) of an ISO 8601 time with an offset. DuckDB's own cast passes over the offset."""
    local = f"epoch_us(try_cast(substr({text}, 1, 19) AS TIMESTAMP))"
    part = f"rpad(regexp_extract({text}, '\\.([0-9]+)', 1), 6, '0')::BIGINT"
    away = f"(substr({text}, -5, 2)::BIGINT * 60 + substr({text}, -2, 2)::BIGINT) * 60000000"
    offset = f"CASE WHEN {text}[-1] = 'Z' THEN 0 WHEN {text}[-6] = '-' THEN -{away} ELSE {away} END"
    fits = f"regexp_full_match({text}, {literal(_ISO)})"
    return f"CASE WHEN {fits} THEN {local} + {part} - {offset} END", fits


def trace_id(text: str) -> str:
    """W3C Trace Context, section 3.2; NULL for a crooked one, as ``readers.base.trace_of`` has it."""
    found = f"regexp_extract({text}, '^[0-9a-f]{{2}}-([0-9a-f]{{32}})-[0-9a-f]{{16}}-[0-9a-f]{{2}}', 1)"
    return f"nullif(nullif({found}, ''), '{'0' * 32}')"


def address(text: str) -> str:
    """The IP address of ``ip:port`` or ``[ip]:port``, as ``readers.base.address_of`` has it."""
    inside = f"nullif(regexp_extract({text}, '^\\[([0-9A-Fa-f:.%]{{2,64}})\\](?::[0-9]{{1,5}})?$', 1), '')"
    plain = f"nullif(regexp_extract({text}, '^([0-9.]{{7,15}})(?::[0-9]{{1,5}})?$', 1), '')"
    return f"coalesce({inside}, {plain}, {text})"


def rounds(value: str) -> str:
    """Whether a number is so far from the middle of two integers that every way of rounding it gives the same."""
    return f"(isfinite({value}) AND abs({value}) < 4e15 AND abs({value} - floor({value}) - 0.5) > 0.01)"


def read_lines(path: str, size: int, *, checked: bool) -> str:
    """Number of the line in the chunk, from 1, and the line, or NULL where it can be no fast line anyway.

    ``checked``: such is a line that is no JSON; else DuckDB fails at one that looks like an object from its ends.
    DuckDB's parser takes a comma after the last member. A NUL that is spelt out is left to the reader.
    """
    valid = "json_valid(line)" if checked else "starts_with(line, '{')"
    return (
        f"SELECT row_number() OVER () AS _n, CASE WHEN {valid} AND ends_with(line, '}}') "
        "AND NOT (ends_with(line, ',}') OR ends_with(line, ' }') OR ends_with(line, chr(9) || '}')) "
        "AND NOT contains(line, '\\u0000') THEN line END AS line "
        f"FROM read_csv({literal(path)}, columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false, "
        f"delim = {_SEPARATOR}, quote = '', escape = '', new_line = '\\n', max_line_size = {size}, "
        f"buffer_size = {2 * size})"
    )


def typed(shapes: Shapes, variant: frozenset[str], table: str) -> str:
    """Lines of a table → ``_n``, ``_ok``, the columns of an event and the keys of what is told.

    ``_ok``: the line is of this variant and certain; other rows hold rubbish.
    """
    plan = shapes.plan
    there = {key for shape in shapes.certain[variant] for key in shape.keys}
    present = [key for key in plan.keys if key in there]
    arrays = [key for key in present if plan.keys[key] == "numbers"]
    flags = "".join(f", {_holds_numbers(key)} AS _array{at}" for at, key in enumerate(arrays))
    absent = "".join(f", NULL::{_type(plan, key)} AS {q(key)}" for key in plan.keys if key not in present)
    raw = (
        f"SELECT _n, {_is_one_of(shapes.certain[variant])} AS _shape{flags}{absent}, unnest(json_transform(line, "
        f"{literal(_schema(shapes, variant, present))})) FROM (SELECT _n, line, json_keys(line) AS _keys, "
        f"json_type(line, '$.*') AS _types FROM {table})"
    )
    conditions = [
        "_shape",
        *(
            f"({q(key)} IS NULL OR _array{at} AND isfinite(coalesce(list_sum({q(key)}), 0)))"
            for at, key in enumerate(arrays)
        ),
        *(
            _finite(q(key))
            for key in [*shapes.extra, *(key for key in present if plan.keys[key] == "number" and key not in variant)]
        ),
        *(_spelt(key, plan) for key in sorted(variant)),
    ]
    plain = ", ".join(_unquoted(key, plan) for key in sorted(variant))
    if plain:
        checked = f"SELECT * REPLACE ({plain}), {_all(conditions)} AS _sure FROM ({raw})"
        return _columns(plan, checked, ["_sure", *plan.certain])
    return _columns(plan, raw, [*conditions, *plan.certain])


def _columns(plan: Plan, rows: str, conditions: Sequence[str]) -> str:
    told = {column for group in plan.told for column in group.columns}
    columns = [
        f"CAST({plan.columns.get(name, 'NULL')} AS {sql}) AS {q(name)}"
        for name, sql in EVENT_COLUMNS.items()
        if name not in told
    ]
    keys = [
        f"{key} AS _told{group}_{at}" for group, told_by in enumerate(plan.told) for at, key in enumerate(told_by.keys)
    ]
    return f"SELECT _n, {_all(conditions)} AS _ok, {', '.join([*columns, *keys])} FROM ({rows})"


def _all(conditions: Iterable[str]) -> str:
    return f"coalesce({' AND '.join(conditions)}, false)"


def _type(plan: Plan, key: str) -> str:
    return _SQL[plan.keys[key]]


def _schema(shapes: Shapes, variant: frozenset[str], present: Collection[str]) -> str:
    """What json_transform() takes out of a line: every key that it is asked for costs, there or not."""
    schema: dict[str, object] = {key: _type(shapes.plan, key) for key in shapes.plan.keys if key in present}
    schema |= dict.fromkeys(variant, "VARCHAR") | dict.fromkeys(shapes.extra, "DOUBLE")
    return json.dumps({key: ["DOUBLE"] if kind == "DOUBLE[]" else kind for key, kind in schema.items()})


def _is_one_of(shapes: Sequence[Shape]) -> str:
    """Whether the line has one of these shapes; lists are compared only where their lengths agree."""
    by_length: dict[int, list[str]] = {}
    for shape in shapes:
        same = f"(_keys = {_list(shape.keys)} AND _types = {_list(shape.types)})"
        by_length.setdefault(len(shape.keys), []).append(same)
    cases = " ".join(f"WHEN {length} THEN {' OR '.join(same)}" for length, same in by_length.items())
    return f"CASE len(_keys) {cases} ELSE false END"


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"


def _holds_numbers(key: str) -> str:
    """Whether an array holds plain numbers only: read from the line, for DuckDB turns texts and true into numbers.

    Within a JSON string every quote has a backslash before it, so the quoted key and its colon stand nowhere else.
    """
    name = key.replace(".", "\\.")
    pattern = f'"{name}": ?\\[(?:{_NUMBER}(?:, ?{_NUMBER})*)?\\]'
    return f"regexp_matches(line, {literal(pattern)})"


def _spelt(key: str, plan: Plan) -> str:
    digits = _INTEGER if plan.keys[key] == "integer" else _QUOTED_NUMBER
    return f"({q(key)} IS NULL OR {q(key)} IN ('', '-') OR regexp_full_match({q(key)}, '{digits}'))"


def _unquoted(key: str, plan: Plan) -> str:
    return f"try_cast({first_text(key)} AS {_SQL[plan.keys[key]]}) AS {q(key)}"
