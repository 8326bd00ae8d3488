"""Regular expressions as the engine runs them: RE2, asked of DuckDB itself, so that what compiles also runs."""

from __future__ import annotations

import os
import re
from functools import cache, lru_cache

import duckdb

__all__ = ["MAX_REGEX", "MAX_REPEATS", "first_match", "problem_of", "replaced"]

MAX_REGEX = 2048  # characters
MAX_REPEATS = 1000  # the counted repetitions of one expression, added up: what RE2 takes time and memory for

# Escapes are passed over: what stands in the braces of \x{200B} is a character's number.
_REPEATS = re.compile(r"\\x\{[0-9A-Fa-f]+\}|\\.|\{([0-9]{1,9})(?:,([0-9]{0,9}))?\}", re.DOTALL)


@lru_cache(maxsize=4096)
def problem_of(pattern: str) -> str:
    """Why the engine would not run the pattern, or nothing."""
    if len(pattern) > MAX_REGEX:
        return f"the regular expression is longer than {MAX_REGEX} characters"
    repeats = sum(max(int(low or 0), int(high or 0)) for low, high in _REPEATS.findall(pattern))
    if repeats > MAX_REPEATS:
        return f"the regular expression repeats more than {MAX_REPEATS} times in all: {repeats}"
    try:
        _ask("SELECT regexp_matches('', $1)", pattern)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].partition("Error: ")[2] or "not understood"
        return f"not a regular expression of RE2: {reason}"
    return ""


def first_match(pattern: str, text: str) -> bool:
    """Whether the pattern matches at the beginning of the text, as pipelines ask (``re.match``)."""
    return bool(_ask("SELECT regexp_matches($2, $1)", f"^(?:{pattern})", text))


def replaced(pattern: str, replacement: str, text: str) -> str:
    r"""The text with every match replaced; ``\1`` is the first group."""
    return str(_ask("SELECT regexp_replace($3, $1, $2, 'g')", pattern, replacement, text))


def _ask(query: str, *values: str) -> object:
    with _database(os.getpid()).cursor() as cursor:
        row = cursor.execute(query, list(values)).fetchone()
    return row[0] if row else None


@cache
def _database(_pid: int) -> duckdb.DuckDBPyConnection:
    """One for all rules of a process: to make it costs more than to use it. Nothing is kept in it."""
    return duckdb.connect(":memory:")
