r"""Findings, incidents and events as syslog messages: RFC 5424, framed for TCP by octet counting (RFC 6587, 3.4.1).

No value can break a message: in structured data ``"``, ``\`` and ``]`` are escaped as section 6.3.3 says, control
characters become visible signs everywhere, and values are cut so that a message keeps within its limit.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from threatmatrix.model.detection import Severity
from threatmatrix.telemetry.out.flat import Item, cut, fitted, flat, shown

__all__ = ["LIMIT", "framed", "in_syslog", "to_syslog"]

LIMIT = 8192  # octets: what common receivers take by default; RFC 5424 asks for 2048 and promises 480
_SD_ID = "threatmatrix@32473"  # 32473: the enterprise number for examples (RFC 5612); we have none of our own
_LOCAL0 = 16
_LEVELS = {  # RFC 5424, table 2
    Severity.informational: 6,
    Severity.low: 5,
    Severity.medium: 4,
    Severity.high: 3,
    Severity.critical: 2,
}
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_ESCAPED = str.maketrans({'"': '\\"', "\\": "\\\\", "]": "\\]"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # µs: the years 1 and 9999


def to_syslog(item: Item, *, host: str = "-", facility: int = _LOCAL0, limit: int = LIMIT) -> str:
    """One message without a frame: ``<PRI>1 time host threatmatrix - finding|incident|event [data] text``."""
    found = flat(item)
    header = _header(found.severity, found.time, host, found.kind, facility)

    def build(cap: int) -> str:
        values = (("id", found.identity), *found.values)
        data = "".join(f' {name}="{_value(str(value), cap)}"' for name, value in values)
        return f"{header} [{_SD_ID}{data}] {shown(cut(found.message, cap))}".rstrip()

    return fitted(build, limit)


def in_syslog(text: str, item: Item, *, host: str = "-", facility: int = _LOCAL0) -> str:
    """A line of another format (CEF, OCSF as JSON) as the text of a message about ``item``."""
    found = flat(item)
    return f"{_header(found.severity, found.time, host, found.kind, facility)} - {shown(text)}"


def framed(message: str) -> bytes:
    """Octet counting: the length in octets, a space, the message. Nothing in a message can look like a frame."""
    raw = message.encode()
    return b"%d %s" % (len(raw), raw)


def _value(text: str, cap: int) -> str:
    return shown(cut(text, cap)).translate(_ESCAPED)


def _header(severity: Severity, time: int, host: str, kind: str, facility: int) -> str:
    at = (_EPOCH + timedelta(microseconds=min(max(time, _FIRST), _LAST))).isoformat(timespec="microseconds")
    name = _NOT_PRINTABLE.sub("?", host)[:255] or "-"
    return f"<{facility * 8 + _LEVELS[severity]}>1 {at.replace('+00:00', 'Z')} {name} threatmatrix - {kind}"
