"""The way in by an account: one that leaked, or one that anybody may make.

``valid_account`` signs in with an account and its password, which are held as ``credentials``. Source: MITRE ATT&CK
T1078; the case study AML.CS0010. Access: none. Cost: two calls, the sign-in and a look at what may be listed. Control:
a password that is guessed, at the same number of calls. Result: one outcome, e.g. ``SampleOutcome(index=0,
claimed=True, confirmed=True, queries=2, distance=0.0)``, confirmed where the store shows at least one bucket; holds
``own_buckets``; figures ``buckets``.

``self_registration`` registers an account with a name like a person's and a password that nobody else can have, as a
wrong setting allows. Source: ATT&CK T1136, AML.T0021; the case study AML.CS0006. Access: none. Cost: two calls. It has
no control: there is nothing to know. Result: one outcome as above; holds ``credentials``, ``own_buckets``; figures
``buckets``. The account is removed at clean-up.
"""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.emulate.artefacts import Credentials
from threatmatrix.emulate.attacks.access.errand import Errand
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.model.errors import TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["SelfRegistrationParams", "ValidAccountParams", "self_registration", "valid_account"]

NAMES = ("alex", "bo", "cleo", "dani", "eden", "finn", "gale", "hao", "ira", "jo", "kit", "lou")


@dataclass(frozen=True, slots=True)
class ValidAccountParams:
    """Who signs in, where it is not held already."""

    account: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class SelfRegistrationParams:
    """``account``: the name to register; "": one is made up."""

    account: str = ""


def valid_account(stage: Stage) -> Brought:
    """Sign in; see the module's docstring."""
    settings = stage.settings(ValidAccountParams)
    errand = Errand(stage, enter=False)
    if settings.account:
        credentials = Credentials(settings.account, settings.password)
    else:
        credentials = stage.take("credentials", Credentials)
    if stage.control:
        credentials = Credentials(credentials.account, stage.rng.bytes(10).hex())
    return _enter(errand, credentials, register=False)


def self_registration(stage: Stage) -> Brought:
    """Register; see the module's docstring."""
    settings = stage.settings(SelfRegistrationParams)
    first, last = stage.rng.choice(NAMES, size=2)
    name = settings.account or f"{first}.{last}{int(stage.rng.integers(10, 100))}"
    return _enter(Errand(stage, enter=False), Credentials(name, stage.rng.bytes(16).hex()), register=True)


def _enter(errand: Errand, credentials: Credentials, *, register: bool) -> Brought:
    entered = False
    buckets: tuple[str, ...] = ()
    try:
        if errand.affords():
            enter = errand.store.sign_up if register else errand.store.sign_in
            entered = enter(credentials.account, credentials.password)
        if entered:
            buckets = errand.buckets()
    except TargetRefused:
        errand.refused = True
    outcome = SampleOutcome(
        index=0, claimed=entered, confirmed=bool(buckets), queries=errand.spent, distance=0.0, refused=errand.refused
    )
    holds = {"credentials": credentials, "own_buckets": buckets} if entered else {}
    return Brought(outcomes=(outcome,), holds=holds, figures={"buckets": float(len(buckets))})
