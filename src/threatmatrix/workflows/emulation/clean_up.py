"""Take back what an emulation changed, in another process than the one that changed it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.journal import Change, Journal
from threatmatrix.emulate.lifecycle import CleanUp, Lifecycle
from threatmatrix.emulate.scope import to_take_back
from threatmatrix.emulate.targets import ModelForm, connect, parse_target
from threatmatrix.emulate.targets.oip import OIPClient
from threatmatrix.emulate.undo import Undone, undoers
from threatmatrix.knowledge import Library, load_scope
from threatmatrix.model.errors import UsageError
from threatmatrix.workflows.emulation.place import EmulationState

__all__ = ["clean_up"]

_ANY_TIME = 0  # before every scope's end


def clean_up(found: EmulationState, library: Library) -> CleanUp:
    """Undo everything that stands in its journal, newest first; as often as it takes.

    A scope that has ended meanwhile does not stand against it; one that does not list the target any more, or is gone,
    does. Raises ScopeError, InputError; UsageError while the emulation still runs.
    """
    about = found.about
    with ExitStack() as stack:
        life = stack.enter_context(Lifecycle.open(found.folder))

        def teacher() -> OIPClient:
            scope = to_take_back(load_scope(Path(about.scope), _ANY_TIME, techniques=library.techniques))
            missing = [name for name in about.keys if name not in os.environ]
            if missing:
                raise UsageError(f"the environment variable {missing[0]} is not set", hint="It held the API key")
            client = connect(
                parse_target(about.target),
                scope,
                about.technique,
                form=ModelForm(input_shape=about.input_shape, classes=about.classes),
                accounts=AccountPool([os.environ[name] for name in about.keys] or [""]),
                account_header=about.account_header or "x-api-key",
                correlation=f"{about.correlation}/clean-up",
            )
            stack.callback(client.close)
            if not isinstance(client, OIPClient):
                raise UsageError(f"{about.target} takes no feedback back")
            return client

        if about.served:  # what was changed ended with the process that served it; files of ours may still be there
            return life.clean_up({**dict.fromkeys(("teach", "put", "account", "key"), _gone), **undoers()})
        return life.clean_up(undoers(teacher=teacher))


def _gone(change: Change, journal: Journal) -> Undone:
    del change, journal
    return "nothing"
