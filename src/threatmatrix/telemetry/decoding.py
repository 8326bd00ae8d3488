"""JSON that somebody else wrote → values: one decoder for log lines and for the bodies inside them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, cast

from threatmatrix.model.errors import FormatError

__all__ = ["NotJson", "canonical", "decode_json", "decode_whole", "failure"]

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The text is no JSON; the message says why and quotes nothing of it."""


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


# The decoder's own scanner: what raw_decode() calls, without its wrapper.
_scan: Callable[[str, int], tuple[Any, int]] = cast(Any, json.JSONDecoder(parse_constant=_no_constant)).scan_once


def decode_json(text: str, start: int = 0) -> tuple[Any, int]:
    r"""One JSON value at ``start`` and where it ends. Raises ValueError (NotJson, JSONDecodeError) or RecursionError.

    NaN, Infinity and integers of more than 4,300 digits are refused. Half a surrogate pair (``"\ud800"``), which no
    UTF-8 file or database can hold, becomes U+FFFD. Of a key that stands twice in an object the last one counts, as
    with Python's json: a client that repeats a key in a body must not take its request out of sight.
    """
    try:
        value, end = _scan(text, start)
    except StopIteration as error:  # the scanner's way to say where a value should have been
        raise json.JSONDecodeError("Expecting value", text, error.value) from None
    except (json.JSONDecodeError, NotJson):
        raise
    except ValueError:  # of int(): its message would quote the digits in some versions
        raise NotJson("not JSON: a number has too many digits") from None
    if "\\u" in text and _SURROGATE.search(text, start, end):
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        value = json.loads(whole)
    return value, end


def decode_whole(text: str) -> Any:
    """The one JSON value that ``text`` is, blanks around it aside. Raises ValueError or RecursionError."""
    text = text.strip()
    value, end = decode_json(text)
    if end != len(text):
        raise NotJson("more text after the value")
    return value


def canonical(value: Any) -> str:
    """JSON of one spelling for equal values: keys sorted, no blanks. Raises RecursionError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def failure(error: Exception) -> str:
    """Why a record failed, without the place, which a dead letter has of its own; nothing of the record is quoted."""
    if isinstance(error, FormatError):
        return error.message.removeprefix(f"{error.file}:{error.line}: ")
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Messages of Python's own quote the value ("invalid literal for int() …"): they stay out of logs.
    return str(error) if isinstance(error, NotJson) else f"a value that cannot be read ({type(error).__name__})"
