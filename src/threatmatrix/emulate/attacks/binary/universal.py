"""Find one text that, appended to any file, makes the attacker's own copy of a scanner acquit it.

Source: Skylight Cyber, "Cylance, I Kill You!", 2019 (strings of a favoured program's executable); Demetrio et al.,
"Functionality-preserving black-box optimization of adversarial Windows malware", 2021 (benign content behind the end of
a file changes nothing that runs). Access: file. Cost: no query of the target. The source's authors tried strings by
hand; here the program's strings are taken in the order of how many of its files hold them, and as many of them as give
the best mean score to the attacker's own malicious files: strings that few files hold may help less than they dilute.

Needs ``own_copy``, ``own_malware`` (``Samples``) and ``favoured`` (own_copy.py). Holds ``universal`` (bytes). Figures,
on own files that the copy takes for malicious: ``offline_bypass`` (share that it acquits with the text),
``offline_score`` (median), ``strings``, ``universal_bytes``. Result: no outcomes, as it only prepares.
Control: the same strings, each with its letters in an order drawn by lot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.binary.own_copy import VerboseCopy
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, Rows, blobs
from threatmatrix.model.errors import UsageError

__all__ = ["UniversalParams", "universal_text"]

TEXT = re.compile(rb"[\x20-\x7e]{6,}")


@dataclass(frozen=True, slots=True)
class UniversalParams:
    """Of the search."""

    max_bytes: int = 16_384  # no text is longer
    tries: int = 60  # own malicious files that a try is judged by
    lengths: int = 12  # texts that are tried: the first twelfth of the strings, two twelfths …


def universal_text(stage: Stage) -> Brought:
    """Find the text that helps own files most; see the module's docstring."""
    params = stage.settings(UniversalParams)
    copy, own = stage.take("own_copy", VerboseCopy), stage.take("own_malware", Samples)  # type: ignore[type-abstract]
    favoured = stage.take("favoured", tuple)
    files = own.x[_scores(copy, own.x) < 0][: params.tries]
    if not len(files):
        raise UsageError("the copy takes none of the attacker's own files for malicious")
    strings = _within(_strings(favoured), params.max_bytes)
    if stage.control:
        strings = [bytes(stage.rng.permutation(np.frombuffer(s, dtype=np.uint8))) for s in strings]
    prefixes = sorted({max(1, round(len(strings) * part / params.lengths)) for part in range(1, params.lengths + 1)})
    tried = [_scores(copy, _with(files, strings[:many])) for many in prefixes]
    best = int(np.argmax([scores.mean() for scores in tried]))
    strings, scores = strings[: prefixes[best]], tried[best]
    text = b"\0".join(strings)
    figures = {
        "offline_bypass": float(np.mean(scores >= 0)),
        "offline_score": float(np.median(scores)),
        "strings": float(len(strings)),
        "universal_bytes": float(len(text)),
    }
    return Brought(holds={"universal": text}, figures=figures)


def _strings(files: Sequence[bytes]) -> list[bytes]:
    """Printable texts of the files; those that most of them share come first, long before short."""
    counts = Counter(text for blob in files for text in set(TEXT.findall(blob)))
    return sorted(counts, key=lambda text: (-counts[text], -len(text), text))


def _within(strings: list[bytes], limit: int) -> list[bytes]:
    lengths = np.cumsum([len(s) + 1 for s in strings])
    return strings[: int(np.searchsorted(lengths, limit, side="right"))]


def _with(files: Rows, strings: Sequence[bytes]) -> Rows:
    """The files with these strings behind their end."""
    tail = b"\0" + b"\0".join(strings)
    return blobs(blob + tail for blob in files)


def _scores(copy: VerboseCopy, rows: Rows) -> FloatArray:
    return copy.verbose(rows)[:, copy.columns.index("score")]
