"""Networks as patterns: RE2 that matches just the texts of the addresses of a network.

A pattern is never an error on a text that is no address, needs no extension of the engine, and means the same in every
dialect that has RE2. What an address looks like is what Python's ``ipaddress`` takes for one (RFC 4291 section 2.2):
octets without leading zeros; groups of one to four hexadecimal digits, ``::`` once for one group or more, the last two
groups perhaps as an IPv4 address, perhaps a zone (``%eth0``). An address of one family is never in a network of the
other, not even as ``::ffff:10.0.0.1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

__all__ = ["network_pattern"]

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUPS = 8
_HEX = "0123456789abcdef"


def network_pattern(network: str) -> str:
    """RE2 that matches the whole text of every address within ``network``. Raises ValueError for no network."""
    parsed = ip_network(network)
    if isinstance(parsed, IPv4Network):
        return r"\.".join(_octets(parsed))
    forms = "|".join(dict.fromkeys(_forms(parsed)))
    return f"(?:{forms})(?:%[^%]+)?"


def _octets(network: IPv4Network) -> Iterator[str]:
    for low, high in zip(network.network_address.packed, network.broadcast_address.packed, strict=True):
        yield _span(low, high)


def _span(low: int, high: int) -> str:
    """Decimal octets low … high, without leading zeros."""
    if (low, high) == (0, 255):
        return _OCTET
    return str(low) if low == high else "(?:" + "|".join(str(value) for value in range(low, high + 1)) + ")"


def _forms(network: IPv6Network) -> Iterator[str]:
    """One pattern for each place at which ``::`` may stand, and for none."""
    spans = list(zip(*(_words(address.packed) for address in (network[0], network[-1])), strict=True))
    yield from _tails([_group(*span) for span in spans], spans)
    for left in range(_GROUPS):
        for right in range(_GROUPS - left):
            if all(low == 0 for low, _ in spans[left : _GROUPS - right]):
                head = ":".join(_group(*span) for span in spans[:left])
                rest = spans[_GROUPS - right :]
                yield from (f"{head}::{tail}" for tail in _tails([_group(*span) for span in rest], rest))


def _tails(groups: list[str], spans: list[tuple[int, int]]) -> Iterator[str]:
    """The groups written in hexadecimal; and, where there are two, the last two as an IPv4 address."""
    yield ":".join(groups)
    if len(groups) >= 2:
        octets = [_span(*pair) for span in spans[-2:] for pair in _halves(*span)]
        yield ":".join([*groups[:-2], r"\.".join(octets)])


def _halves(low: int, high: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """A group's two octets: the spans of an aligned block are a product."""
    return (low >> 8, high >> 8), (low & 255, high & 255)


def _words(packed: bytes) -> list[int]:
    return [int.from_bytes(packed[at : at + 2]) for at in range(0, len(packed), 2)]


def _group(low: int, high: int) -> str:
    """One to four hexadecimal digits, of either case, of a value of the aligned block low … high."""
    if (low, high) == (0, 0xFFFF):
        return "[0-9a-fA-F]{1,4}"
    digits = [(low >> shift & 15, high >> shift & 15) for shift in (12, 8, 4, 0)]
    written = [_digit(*digit) for digit in digits]
    skipped = next((at for at, (first, _) in enumerate(digits[:3]) if first), 3)
    forms = "|".join("".join(written[start:]) for start in range(skipped + 1))
    return f"(?:{forms})" if skipped else forms


def _digit(low: int, high: int) -> str:
    if low == high:
        return _HEX[low] if low < 10 else f"[{_HEX[low]}{_HEX[low].upper()}]"
    return f"[{''.join(dict.fromkeys(_HEX[low : high + 1] + _HEX[low : high + 1].upper()))}]"
