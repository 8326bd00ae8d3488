"""Hypothesis strategies for random rules of every construct, and for events that often match them.

* ``conditions(schema)``: nodes of the intermediate form (``ir.Node``), whatever text they may have come from;
* ``detections(schema)``: the ``detection`` of a rule as a mapping, every modifier of Sigma 2 included;
* ``rules(schema)``: whole rules as mappings, of any category of the schema;
* ``events(schema)``: records as mappings from field to value; fields that are absent are left out.

All of them draw from the same few words, numbers and addresses, so that values often meet.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Op, Or, Part, Wild
from threatmatrix.detect.sigma.schema import Schema

__all__ = ["conditions", "detections", "events", "rules"]

WORDS = ("", "a", "A", "ab", "b", "aab", "É", "é", "Σ", "ß", "%", "_", "a%b", "'", '"; --', "\\", "a\\b", "*", "a?b")
MORE = (
    "-x",
    "/X",
    "a -x",
    "–x",
    "x\ny",
    "true",
    "False",
    "5",
    "5.0",
    "-1",
    " 5",
    "1e1",
    "0x5",
    "nan",
    "YWI=",
    "LXg=",
    "YQA=",
    "IGFi",
    "YQBiAA==",
    "a\x00"[:1],
)
ADDRESSES = ("10.0.0.7", "10.1.2.3", "192.168.0.1", "::ffff:10.0.0.7", "2001:db8::7", "fe80::1", "10.0.0.256", "10.0.0")
NETWORKS = ("10.0.0.0/8", "10.0.0.7/32", "10.0.0.0/30", "0.0.0.0/0", "2001:db8::/32", "::/0", "fe80::/10")
NUMBERS = (-1, 0, 1, 2, 5, 10, 200, 403)
REGEXES = ("a", "^a", "b$", "^a.*b$", "A+", "a|b", "[0-9]{1,3}", "\\\\", "x.y", "^y", "(?i)é", "\\d", "^$", "\\.")
ENCODED = ("base64", "base64offset", "wide|base64offset", "utf16le|base64", "utf16be|base64", "utf16|base64offset")
PARTS: tuple[Part, ...] = ("minute", "hour", "day", "week", "month", "year")
TIMES = (0, 1_760_000_400_000_000, 1_767_225_599_999_999, 1_767_225_600_000_000, 1_709_164_800_000_000)
COMPARE: tuple[Op, ...] = ("lt", "lte", "gt", "gte")
FIELDS_OF_A_KIND = 3  # more would hardly ever meet

texts = st.sampled_from([*WORDS, *MORE, *ADDRESSES])
plain = st.sampled_from([word for word in (*WORDS, *MORE) if not set(word) & set("*?\\")])
numbers = st.sampled_from(NUMBERS)
patterns = st.lists(
    st.sampled_from([*("a", "b", "A", "é", "%", "-x", " "), *("*", "?", "\\", "\\*", "\\?", "\\\\")]), max_size=4
)


def _named(schema: Schema, *kinds: str) -> st.SearchStrategy[str]:
    special = {schema.time, schema.category}
    names = [name for name in schema.keywords if schema.fields[name] in kinds]
    names += [name for name, kind in schema.fields.items() if kind in kinds and name not in {*names, *special}]
    return st.sampled_from(names[:FIELDS_OF_A_KIND] or [schema.category])


def _text(schema: Schema) -> st.SearchStrategy[str]:
    return _named(schema, "VARCHAR")


def _number(schema: Schema) -> st.SearchStrategy[str]:
    numeric = {kind for kind in schema.fields.values() if kind in {"BIGINT", "DOUBLE"}}
    return st.one_of([_named(schema, kind) for kind in sorted(numeric)])


def _has_numbers(schema: Schema) -> bool:
    return any(kind in {"BIGINT", "DOUBLE"} and name != schema.time for name, kind in schema.fields.items())


# --- events ---------------------------------------------------------------------------------------------------------


def events(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """One record: category, time, and values of a few fields."""
    text = st.lists(st.tuples(_text(schema), texts), min_size=1, max_size=FIELDS_OF_A_KIND)
    number: st.SearchStrategy[list[tuple[str, Any]]] = st.just([])
    if _has_numbers(schema):
        number = st.lists(st.tuples(_number(schema), numbers), max_size=2)
    fixed = st.tuples(st.sampled_from(schema.categories), st.sampled_from(TIMES))

    def record(parts: tuple[tuple[str, int], list[tuple[str, str]], list[tuple[str, Any]]]) -> dict[str, Any]:
        (category, time), words, counts = parts
        halves = {name: value / 2 if schema.kind(name) == "DOUBLE" else value for name, value in counts}
        return {schema.category: category, schema.time: time, **dict(words), **halves}

    return st.tuples(fixed, text, number).map(record)


# --- raw rules ------------------------------------------------------------------------------------------------------


def _one_or_more(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


def _keyed(
    name: st.SearchStrategy[str], modifiers: str, values: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(name.map(lambda field: f"{field}|{modifiers}" if modifiers else field), values)


def _items(schema: Schema) -> st.SearchStrategy[tuple[str, Any]]:
    """One field with modifiers, and its values."""
    text, written = _text(schema), patterns.map("".join)
    two = st.lists(written, min_size=2, max_size=3)
    kinds = [
        _keyed(text, "", _one_or_more(written | numbers | st.booleans() | st.none())),
        *(_keyed(text, name, _one_or_more(written)) for name in ("contains", "startswith", "endswith", "cased", "neq")),
        *(_keyed(text, f"{name}|cased", _one_or_more(written)) for name in ("contains", "startswith", "endswith")),
        _keyed(text, "contains|all", two),
        _keyed(text, "contains|all|windash", two),
        *(
            _keyed(text, f"windash|{name}", _one_or_more(st.sampled_from(["-x", "a -x", "/X"])))
            for name in ("contains", "endswith")
        ),
        *(
            _keyed(text, f"re{flags}", _one_or_more(st.sampled_from(REGEXES)))
            for flags in ("", "|i", "|m", "|s", "|i|m", "|ignorecase")
        ),
        _keyed(text, "cidr", _one_or_more(st.sampled_from(NETWORKS))),
        _keyed(text, "exists", st.booleans()),
        *(_keyed(text, name, numbers) for name in COMPARE),
        *(
            _keyed(text, f"fieldref{more}", text)
            for more in ("", "|contains", "|startswith", "|endswith", "|cased", "|neq")
        ),
        *(_keyed(text, name, _one_or_more(plain)) for name in ENCODED),
        *(_keyed(text, f"{name}|contains", _one_or_more(plain)) for name in ENCODED),
        *(
            _keyed(st.just(schema.time), part, _one_or_more(numbers.filter(lambda number: number >= 0)))
            for part in PARTS
        ),
    ]
    if _has_numbers(schema):
        number = _number(schema)
        kinds += [
            _keyed(number, "", _one_or_more(numbers)),
            _keyed(number, "", st.none()),
            _keyed(number, "exists", st.booleans()),
        ]
        kinds += [_keyed(number, name, numbers) for name in (*COMPARE, "neq")]
    return st.one_of(kinds)


def _searches(schema: Schema) -> st.SearchStrategy[Any]:
    """What may stand behind a search identifier."""
    maps = st.lists(_items(schema), min_size=1, max_size=3, unique_by=lambda item: item[0]).map(dict)
    words = st.sampled_from(["a", "A", "ab", "a*b", "É", "%", 5])
    keywords = st.lists(words, min_size=1, max_size=2) | st.fixed_dictionaries(
        {"|all": st.lists(words, min_size=2, max_size=2)}
    )
    return maps | st.lists(maps, min_size=1, max_size=2) | keywords


NAMES = ("sel", "sel_b", "filter", "_own", "notable")


@st.composite
def _expressions(draw: st.DrawFn, names: list[str], depth: int = 2) -> str:
    kind = draw(st.integers(0, 6 if depth else 1))
    if kind == 0:
        return draw(st.sampled_from(names))
    if kind == 1:
        selectors = ["them", *(name[:3] + "*" for name in names), *names]
        selector = draw(st.sampled_from(selectors))
        if selector == "them" and all(name.startswith("_") for name in names):
            selector = "_*"
        return f"{draw(st.sampled_from(['1', 'all', 'any']))} of {selector}"
    one = draw(_expressions(names, depth - 1))
    if kind == 2:
        return f"not {one}" if " " not in one or one.startswith("(") else f"not ({one})"
    if kind == 3:
        return f"({one})"
    return f"{one} {'and' if kind == 4 else 'or'} {draw(_expressions(names, depth - 1))}"


def detections(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """A detection: one to three search identifiers and a condition over them, sometimes a list of conditions."""
    return _detections(_searches(schema))  # the strategies of the parts are built once


@st.composite
def _detections(draw: st.DrawFn, search: st.SearchStrategy[Any]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    searches = {name: draw(search) for name in names}
    condition: Any = draw(_expressions(names))
    if draw(st.integers(0, 9)) == 0:
        condition = [condition, draw(_expressions(names))]
    return {**searches, "condition": condition}


def rules(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """A whole rule. Its title is always the same: give it an id or a name where several stand together."""
    logsource = st.fixed_dictionaries({"category": st.sampled_from(schema.categories)})
    return st.fixed_dictionaries({"title": st.just("A rule"), "logsource": logsource, "detection": detections(schema)})


# --- the intermediate form ------------------------------------------------------------------------------------------


def _pattern(parts: list[str]) -> tuple[str | Wild, ...]:
    joined: list[str | Wild] = []
    for part in parts:
        wild = {"*": Wild.ANY, "?": Wild.ONE}.get(part)
        if wild is None and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(wild or part)
    return tuple(joined)


_wild = st.lists(st.sampled_from(["a", "b", "%", "_", "é", "*", "?", "\\"]), min_size=1, max_size=5).map(_pattern)


def _leaves(schema: Schema) -> st.SearchStrategy[Leaf]:
    text, cased = _text(schema), st.booleans()
    kinds: list[st.SearchStrategy[Leaf]] = [
        st.builds(Leaf, text, st.sampled_from(["equals", "contains", "startswith", "endswith"]), texts, cased),
        st.builds(Leaf, text, st.just("matches"), _wild, cased),
        st.builds(Leaf, text, st.just("regex"), st.sampled_from(REGEXES), st.just(True)),
        st.builds(Leaf, text, st.just("cidr"), st.sampled_from(NETWORKS)),
        st.builds(Leaf, text, st.sampled_from(COMPARE), numbers),
        st.builds(Leaf, text, st.sampled_from(["present", "absent"])),
        st.builds(
            Leaf, text, st.sampled_from(["same", "same_contains", "same_startswith", "same_endswith"]), text, cased
        ),
        st.builds(
            Leaf,
            st.just(schema.time),
            st.sampled_from(["equals", *COMPARE]),
            numbers,
            st.just(False),
            st.sampled_from(PARTS),
        ),
    ]
    if _has_numbers(schema):
        number = _number(schema)
        kinds += [st.builds(Leaf, number, st.sampled_from(["equals", *COMPARE]), numbers)]
        kinds += [st.builds(Leaf, number, st.sampled_from(["present", "absent"]))]
    return st.one_of(kinds)


def conditions(schema: Schema, max_leaves: int = 8) -> st.SearchStrategy[Node]:
    """Any tree over the leaves that the compiler can make."""

    def joined(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        items = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return items.map(And) | items.map(Or) | inner.map(Not)

    return st.recursive(_leaves(schema), joined, max_leaves=max_leaves)
