"""HTTP request headers of browsers, programs and malware, judged character by character.

The detector is a logistic regression on character n-grams of each line. Half of what it learns from is malware; the
attacker learns from other requests of the same kind. Parts of one seed:

================  ======  ==================================================
product           4,000   the detector's training requests
check               800   for the accuracy
calibration         250   the defender's reference traffic
honest              500   what people and programs send
attacker            160   requests of malware to its servers
public_requests   6,000   requests with labels that anybody has …
public_check     10,000   … and honest ones, for a false positive rate of .01 %
================  ======  ==================================================
"""

from __future__ import annotations

import numpy as np

from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.header_text import Wire
from threatmatrix.emulate.reference.text_crowd import Crowd, ServedText, cut
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.text_models import Grams
from threatmatrix.emulate.text_training import fit_grams

__all__ = ["build"]

AGENTS = ("sensor/4.1 (office)", "sensor/4.1 (guests)", "sensor/4.0 (branch)")


def build(seed: int, *, product: int = 4000, public: int = 6000, check: int = 10_000, samples: int = 160) -> Reference:
    """Write the requests and train the detector. ``check``: honest requests to measure a stand-in's false alarms on."""
    rng = np.random.default_rng([seed, 0x4EAD])
    wire = Wire(rng)
    learned = _labelled(wire, product)
    model = ServedText(fit_grams(Grams((2, 3), 2**15), learned.x, learned.y, epochs=2, seed=seed))
    unseen = _labelled(wire, 800)
    calibration, people = cut(wire.people(650), 250, 400)
    programs = wire.programs(100)
    attacked = wire.malware(samples)
    return Reference(
        name="headers",
        title="HTTP request headers, of malware or not",
        modality="text",
        classes=("malware", "benign"),
        width=None,
        model=model,
        calibration=calibration,
        attacker=Samples(attacked, np.zeros(len(attacked), dtype=np.int64)),
        honest=Crowd(
            people=(people,), programs=(programs,), agents=AGENTS, scripts=AGENTS, gap=(2.0, 20.0), several=0.5
        ),
        accuracy=float(np.mean(model.answer(unseen.x).labels == unseen.y)),
        known={"public_requests": _labelled(wire, public), "public_check": wire.honest(check)},
    )


def _labelled(wire: Wire, n: int) -> Samples:
    """N requests, half of them malware's (label 0)."""
    bad, good = wire.malware(n // 2), wire.honest(n - n // 2)
    y = np.concatenate([np.zeros(len(bad), dtype=np.int64), np.ones(len(good), dtype=np.int64)])
    return Samples(np.concatenate([bad, good]), y)
