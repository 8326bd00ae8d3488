"""What the modifiers of a field make of a value.

Source: Sigma modifiers appendix 2.1. The work is done here and not by pySigma because its versions disagree: 1.5
counts characters where ``base64offset`` must count bytes, encodes a byte order mark as UTF-8, and escapes wildcards
within what it encodes; both refuse text that is not ASCII in UTF-16.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import product
from types import MappingProxyType
from typing import get_args

from threatmatrix.detect.sigma.chains import BASE64, COMPARE, FLAGS, LOGIC, PARTS, SHAPES, UTF16, Unfit
from threatmatrix.detect.sigma.ir import Op, Part
from threatmatrix.detect.sigma.regexes import problem_of
from threatmatrix.detect.sigma.values import (
    AnyOf,
    Compare,
    Encoded,
    Exists,
    FieldRef,
    Network,
    Null,
    Number,
    Piece,
    Regex,
    Shape,
    Text,
    Truth,
    Value,
    parse_text,
    shaped,
    text_of,
)

__all__ = ["modified", "regex_with_flags"]

MAX_DASHES = 3  # each dash multiplies the values by five
_DASHES = "-/–—―"  # hyphen, slash, en dash, em dash, horizontal bar
_DASH = re.compile(rf"\B[{_DASHES}]\b")
_INT64 = 2**63
_MAPPED = 96  # bits of the IPv6 prefix under which IPv4 addresses stand (RFC 4291, 2.5.5.2)


def modified(raw: object, modifiers: tuple[str, ...], spelt: str | None = None) -> Value:
    """The value that ``modifiers`` (a chain that passed :func:`check_chain`) make of one YAML scalar.

    ``spelt``: how the rule writes it, where that differs from Python's way. Raises Unfit.
    """
    for name, build in _BUILDERS.items():
        if name in modifiers:
            return build(raw, modifiers)
    if any(name not in LOGIC for name in modifiers):
        return _text(_written(raw, modifiers), modifiers)
    if raw is None:
        return Null()
    if isinstance(raw, bool):
        return Truth(raw)
    if isinstance(raw, int | float):
        return Number(_finite(raw), str(raw) if spelt is None else "")
    return parse_text(_written(raw, modifiers))


def _finite(number: int | float) -> int | float:
    if isinstance(number, float) and not math.isfinite(number):
        raise Unfit(f"{number} is no number that can be compared")
    return number


def _written(raw: object, modifiers: tuple[str, ...]) -> str:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    if not isinstance(raw, str):
        kind = {bool: "true or false", type(None): "null"}.get(type(raw), f"{raw!r}, no text")
        raise Unfit(f"modifier {'|'.join(modifiers)!r} needs text, not {kind}")
    return raw


def _text(written: str, modifiers: tuple[str, ...]) -> Value:
    cased = "cased" in modifiers
    value: Value = parse_text(written, expand="expand" in modifiers, cased=cased)
    for name in modifiers:
        step: Callable[[Text | Encoded], Value] | None = None
        if name == "windash":
            step = _windash
        elif name in UTF16:
            step = _wide(name)
        elif name in BASE64:
            step = _base64 if name == "base64" else _base64offset
        elif name in SHAPES:
            step = _shape(name)
        if step is not None:
            value = _each(value, step)
    return value


def _each(value: Value, step: Callable[[Text | Encoded], Value]) -> Value:
    if isinstance(value, AnyOf):
        return AnyOf(tuple(_each(item, step) for item in value.values))
    assert isinstance(value, Text | Encoded)
    return step(value)


def _shape(name: str) -> Callable[[Text | Encoded], Value]:
    shape = next(shape for shape in get_args(Shape) if shape == name)
    return lambda value: shaped(value, shape) if isinstance(value, Text) else value


def _windash(value: Text | Encoded) -> Value:
    """Every dash that begins a word becomes each of five characters, in all permutations."""
    assert isinstance(value, Text)
    choices: list[tuple[Piece, ...]] = []
    for piece in value.pieces:
        if not isinstance(piece, str):
            choices.append((piece,))
            continue
        end = 0
        for match in _DASH.finditer(piece):
            choices += [(piece[end : match.start()],), tuple(_DASHES)]
            end = match.end()
        choices.append((piece[end:],))
    dashes = sum(1 for choice in choices if len(choice) > 1)
    if dashes > MAX_DASHES:
        raise Unfit(f"'windash' writes out at most {MAX_DASHES} dashes of one value, and here are {dashes}")
    if not dashes:
        return value
    return AnyOf(tuple(text_of(iter(pieces), value.cased) for pieces in product(*choices)))


def _wide(name: str) -> Callable[[Text | Encoded], Value]:
    mark = b"\xff\xfe" if name == "utf16" else b""

    def encode(value: Text | Encoded) -> Value:
        return Encoded(mark + _plain(value, name).encode(UTF16[name]), value.cased)

    return encode


def _plain(value: Text | Encoded, name: str) -> str:
    plain = value.plain if isinstance(value, Text) else None
    if plain is None:
        raise Unfit(f"{name!r} cannot encode a wildcard or a placeholder")
    return plain


def _bytes(value: Text | Encoded, name: str) -> bytes:
    return value.data if isinstance(value, Encoded) else _plain(value, name).encode()


def _base64(value: Text | Encoded) -> Value:
    return text_of(iter((b64encode(_bytes(value, "base64")).decode(),)), value.cased)


def _base64offset(value: Text | Encoded) -> Value:
    """The characters that depend on the value alone, wherever in an encoded text it begins."""
    data = _bytes(value, "base64offset")
    encoded = []
    for offset in range(3):
        first = (offset * 8 + 5) // 6  # the characters before hold bits of what comes before
        last = (offset + len(data)) * 8 // 6  # those after, bits of what follows
        encoded.append(b64encode(b" " * offset + data).decode()[first:last])
    if not all(encoded):
        raise Unfit("'base64offset' needs a value of at least two bytes: nothing of a shorter one is sure to be seen")
    return AnyOf(tuple(text_of(iter((text,)), value.cased) for text in dict.fromkeys(encoded)))


def regex_with_flags(value: Regex) -> str:
    return f"(?{value.flags}){value.text}" if value.flags else value.text


def _regex(raw: object, modifiers: tuple[str, ...]) -> Value:
    value = Regex(_written(raw, modifiers), "".join(sorted({FLAGS[name] for name in modifiers if name in FLAGS})))
    problem = problem_of(regex_with_flags(value))
    if problem:
        raise Unfit(problem)
    return value


def _network(raw: object, modifiers: tuple[str, ...]) -> Value:
    written = _written(raw, modifiers)
    try:
        network = ip_network(written)
    except ValueError as error:
        raise Unfit(f"no network: {error}") from error
    if isinstance(network, IPv6Network) and "%" in written:
        raise Unfit(f"{written!r} names a zone, which a network has not")
    if isinstance(network, IPv4Network):
        return _both_names(network)
    mapped = network.network_address.ipv4_mapped if network.prefixlen >= _MAPPED else None
    return Network(str(network)) if mapped is None else _both_names(IPv4Network((mapped, network.prefixlen - _MAPPED)))


def _both_names(network: IPv4Network) -> Value:
    """An IPv4 network, and the same under IPv6 (::ffff:10.0.0.1), which is how a server of both writes it."""
    mapped = IPv6Network((f"::ffff:{network.network_address}", _MAPPED + network.prefixlen))
    return AnyOf((Network(str(network)), Network(str(mapped))))


def _exists(raw: object, modifiers: tuple[str, ...]) -> Value:
    if not isinstance(raw, bool):
        raise Unfit("modifier 'exists' needs true or false")
    return Exists(raw)


def _field(raw: object, modifiers: tuple[str, ...]) -> Value:
    name = parse_text(_written(raw, modifiers)).plain
    if not name:
        raise Unfit("'fieldref' needs the name of a field, without wildcards")
    ops: Mapping[str, Op] = {
        "contains": "same_contains",
        "startswith": "same_startswith",
        "endswith": "same_endswith",
    }
    op: Op = next((ops[shape] for shape in modifiers if shape in SHAPES), "same")
    return FieldRef(name, op, "cased" in modifiers)


def _compare(raw: object, modifiers: tuple[str, ...]) -> Value:
    operators: Mapping[str, Op] = {"lt": "lt", "lte": "lte", "gt": "gt", "gte": "gte"}
    op: Op = next((operators[name] for name in modifiers if name in operators), "equals")
    part: Part | None = next((part for part in get_args(Part) if part in modifiers), None)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise Unfit(f"modifier {'|'.join(modifiers)!r} needs a number, without quotes")
    if abs(_finite(raw)) >= _INT64:
        raise Unfit(f"{raw} is out of range")
    if part is not None and not isinstance(raw, int):
        raise Unfit(f"modifier {part!r} needs a whole number")
    return Compare(op, raw, part)


_BUILDERS: Mapping[str, Callable[[object, tuple[str, ...]], Value]] = MappingProxyType(
    {
        "re": _regex,
        "cidr": _network,
        "exists": _exists,
        "fieldref": _field,
        **dict.fromkeys([*COMPARE, *PARTS], _compare),
    }
)
