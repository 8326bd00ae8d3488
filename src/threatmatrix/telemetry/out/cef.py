r"""Findings, incidents and events in ArcSight's Common Event Format, version 0.

Source: "ArcSight Common Event Format (CEF) Implementation Standard": seven header fields between pipes, in which
``\`` and ``|`` are escaped; an extension of key=value, in which ``\``, ``=`` and line ends are.
"""

from __future__ import annotations

from ipaddress import ip_address

from threatmatrix import __version__
from threatmatrix.model.detection import Severity
from threatmatrix.telemetry.out.flat import Flat, Item, cut, fitted, flat, shown
from threatmatrix.telemetry.out.syslog import LIMIT

__all__ = ["to_cef"]

_SEVERITIES = {  # 0..10: 0–3 low, 4–6 medium, 7–8 high, 9–10 very high
    Severity.informational: 1,
    Severity.low: 3,
    Severity.medium: 5,
    Severity.high: 8,
    Severity.critical: 10,
}
_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|"})
_EXTENSION = str.maketrans({"\\": "\\\\", "=": "\\="})
_KEYS = {  # ours → (key of the dictionary, its length there)
    "principal": ("suser", 1023),
    "host": ("dhost", 1023),
    "endpoint": ("request", 1023),
    "method": ("requestMethod", 1023),
    "user_agent": ("requestClientApplication", 1023),
    "outcome": ("outcome", 63),
    "decision": ("act", 63),
    "count": ("cnt", 20),
    "input_bytes": ("in", 20),
    "object": ("fname", 1023),
}
_CUSTOM = {  # at most six strings: per kind, the most telling
    "finding": ("technique", "detector", "system", "model", "principals"),
    "incident": ("techniques", "status", "system", "model", "principals"),
    "event": ("category", "operation", "system", "model", "request_ref"),
}
_LONGEST = 4000


def to_cef(item: Item, *, limit: int = LIMIT) -> str:
    """One line: ``CEF:0|threatmatrix|threatmatrix|version|signature|name|severity|extension``."""
    found = flat(item)
    signature = {"finding": found.value("detector"), "incident": "incident"}.get(found.kind) or found.value("category")

    def build(cap: int) -> str:
        texts = (__version__, signature, cut(found.title, 512))
        names = "|".join(_head(text, cap) for text in texts)
        header = f"CEF:0|threatmatrix|threatmatrix|{names}|{_SEVERITIES[found.severity]}"
        pairs = [(key, cut(value, min(cap, most))) for key, value, most in _extension(found)]
        return f"{header}|{' '.join(f'{key}={_tail(value)}' for key, value in pairs if value)}"

    return fitted(build, limit)


def _extension(found: Flat) -> list[tuple[str, str, int]]:
    pairs = [("rt", str(found.time // 1000), 20)]
    if found.kind == "event":
        pairs += _address(found.value("src_ip"))
    else:
        pairs.append(("externalId", found.identity, 40))
        pairs += [(key, str(int(found.value(name)) // 1000), 20) for key, name in (("start", "first"), ("end", "last"))]
        pairs.append(("msg", found.message, 1023))
    pairs += [(key, found.value(name), most) for name, (key, most) in _KEYS.items()]
    custom = [(name, found.value(name)) for name in _CUSTOM[found.kind]]
    if found.kind == "event":
        custom.append(("event_id", found.identity))
    for number, (name, value) in enumerate(custom, 1):
        if value:
            pairs += [(f"cs{number}Label", name, 1023), (f"cs{number}", value, _LONGEST)]
    return pairs


def _address(text: str) -> list[tuple[str, str, int]]:
    """``src`` is for IPv4 alone."""
    try:
        address = ip_address(text)
    except ValueError:
        return []
    if address.version == 4:
        return [("src", str(address), 15)]
    return [("c6a2Label", "Source IPv6 Address", 1023), ("c6a2", str(address).partition("%")[0], 45)]


def _head(text: str, cap: int) -> str:
    return shown(cut(text, cap)).translate(_HEADER)


def _tail(text: str) -> str:
    r"""Line ends are written ``\n``, as the standard says; the value may begin with = or hold anything."""
    parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\\n".join(shown(part).translate(_EXTENSION) for part in parts)
