"""Secrets where a log should have names: a key in the place of a principal, a token in a User-Agent.

People log an ``Authorization`` header as "the user", and clients put tokens where they like. What looks like a secret
is replaced by a name that stays the same for the same secret, so that its use can still be followed: ``key_`` and the
first 12 hex digits of its keyed hash, or ``concealed`` where there is no key to hash with (a hash that anybody can
compute would confirm a guess). The name changes when the keyring's current key does.

Two kinds are told: tokens of a known form, anywhere in a text (:func:`scrub`), and, where an identity is expected,
long random runs of no known form as well (:func:`conceal`). Every pattern takes linear time: a part that repeats
without bound cannot contain another start of its own pattern, or fails only within a bounded number of characters.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:  # the inputs need NumPy
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["CONCEALED", "conceal", "scrub"]

CONCEALED = "concealed"

_LONGEST = 8192  # characters, more than servers take in a header; a longer value is cut: looking costs 2 µs each
_RANDOM = 40  # characters of a run from which on it may be a secret of no known form
_FEWEST = 36  # letters and digits of such a run that must be left when UUIDs and SHA-256 are taken out
_CHANGES = 0.32  # of all neighbours in a random run so many are of different kinds (aB, B7); CamelCase words have .25

# Forms as their issuers document them. "sk-" also begins words (sk-learn): a digit or 20 characters must follow.
_KNOWN = re.compile(
    r"""
    (?P<scheme>\b(?i:bearer|basic)[ \t]{1,8})[^\s,;"')]{4,}                # RFC 9110, section 11
  | (?P<other>\b(?i:token|api-?key|negotiate)[ \t:]{1,8})(?=[^\s,;"')]{0,40}[0-9A-Z])[^\s,;"')]{8,}
  | (?P<name>\b(?i:api[_-]?key|access[_-]?token|token|secret|password|passwd|signature|sig)=)[^\s&;,"')]{4,}
  | (?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)*                        # JWT, JWE: base64url of '{"'
  | (?<![A-Za-z0-9])(?:
      sk-(?:(?=[\w-]{0,19}[0-9])|(?=[\w-]{20}))[\w-]{3,}                  # OpenAI, Anthropic, LiteLLM …
    | [spr]k_(?:live|test)_\w{8,}                                         # Stripe
    | gh[pousr]_\w{16,} | github_pat_\w{16,} | glpat-[\w-]{16,}           # GitHub, GitLab
    | xox[a-z]-[\w-]{8,} | xapp-[\w-]{8,}                                 # Slack
    | AIza[\w-]{30,} | ya29\.[\w.-]{10,} | GOCSPX-[\w-]{16,}              # Google
    | hf_\w{16,} | gsk_\w{16,} | r8_\w{30,} | nvapi-[\w-]{16,}            # Hugging Face, Groq, Replicate, NVIDIA
    | dapi[0-9a-f]{32} | npm_\w{30,} | pypi-[\w-]{16,}                    # Databricks, npm, PyPI
    )
  | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)                                       # user:password@ of a URL
  | -----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY-----[^-]*
    """,
    re.VERBOSE | re.ASCII,
)
# One of these is in every text that the pattern above can match; looking for them costs a tenth of searching it.
_MARKS = (
    *("bearer", "basic", "token", "key", "negotiate", "=", "eyj", "sk-", "k_live_", "k_test_", "gh", "github_pat_"),
    *("glpat-", "xox", "xapp-", "aiza", "ya29.", "gocspx-", "hf_", "gsk_", "r8_", "nvapi-", "dapi", "npm_", "pypi-"),
    *("://", "-----begin"),
)
_RUN = re.compile(rf"[A-Za-z0-9+/_=-]{{{_RANDOM},}}", re.ASCII)
# Names that look random and are none: UUIDs, and SHA-256 as LiteLLM names its keys.
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_SHA256 = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])", re.IGNORECASE | re.ASCII)
_EMAIL = re.compile(r"[^\s@]+@[\w.-]+", re.ASCII)
_CLIENT_ID = ".apps.googleusercontent.com"
_KINDS = (str.islower, str.isupper, str.isdigit)


@overload
def conceal(value: str, inputs: Inputs | None) -> str: ...
@overload
def conceal(value: None, inputs: Inputs | None) -> None: ...
def conceal(value: str | None, inputs: Inputs | None) -> str | None:
    """A principal, tenant, session or id of a key, secrets in it replaced by names; most come back as they are.

    ARNs, e-mail addresses, UUIDs and SHA-256 in hex stay. ``inputs`` None: there is no key to name secrets with. Of a
    value longer than 8,192 characters the rest is dropped, here and in :func:`scrub`.
    """
    if value is None or _is_clean(value := value[:_LONGEST]):
        return value
    known = scrub(value, inputs)
    if _is_name(known):
        return known
    return _RUN.sub(lambda run: _named(run[0], inputs) if _is_random(run) else run[0], known)


@overload
def scrub(text: str, inputs: Inputs | None) -> str: ...
@overload
def scrub(text: None, inputs: Inputs | None) -> None: ...
def scrub(text: str | None, inputs: Inputs | None) -> str | None:
    """A User-Agent, a path, the name of an object: tokens of a known form in it replaced by names."""
    if text is None or not _may_hold_known(text := text[:_LONGEST]):
        return text
    return _KNOWN.sub(lambda match: _replaced(match, inputs), text)


@lru_cache(maxsize=8192)
def _is_clean(value: str) -> bool:
    """Whether :func:`conceal` would change nothing; remembered, since the same identities come again and again."""
    if _may_hold_known(value) and _KNOWN.search(value):
        return False
    return _is_name(value) or not any(map(_is_random, _RUN.finditer(value)))


def _may_hold_known(text: str) -> bool:
    return any(map(text.lower().__contains__, _MARKS))


def _is_name(value: str) -> bool:
    return value.startswith("arn:aws") or _EMAIL.fullmatch(value) is not None


def _is_random(run: re.Match[str]) -> bool:
    """Whether a run of 40 or more characters changes between small, capital and digit as often as chance does."""
    if run.string.startswith(_CLIENT_ID, run.end()):
        return False
    rest = _SHA256.sub("", _UUID.sub("", run[0]))
    kinds = [next((kind for kind, test in enumerate(_KINDS) if test(char)), -1) for char in rest]
    if len(kinds) - kinds.count(-1) < _FEWEST or kinds.count(_KINDS.index(str.isdigit)) < len("42"):
        return False
    pairs = [(a, b) for a, b in pairwise(kinds) if a >= 0 and b >= 0]
    return sum(a != b for a, b in pairs) >= _CHANGES * len(pairs)


def _replaced(match: re.Match[str], inputs: Inputs | None) -> str:
    """A scheme is dropped: the same key has the same name with and without it. The name of a parameter stays."""
    secret, parameter = match[0], match["name"]
    if parameter:
        return parameter + _named(secret.removeprefix(parameter), inputs)
    return _named(secret.removeprefix(match["scheme"] or match["other"] or ""), inputs)


def _named(secret: str, inputs: Inputs | None) -> str:
    return CONCEALED if inputs is None else f"key_{inputs.name_of(secret)}"
