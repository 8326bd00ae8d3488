"""The command line: commands, printing, progress and exit codes; no logic of its own.

Exit codes: 0 nothing to report, 1 findings at or above ``--fail-on``, 2 usage or unreadable input, 3 it broke while
running. Data goes to standard output, progress and warnings to standard error.
"""

from __future__ import annotations

import os
import sys

from threatmatrix.model.errors import ThreatmatrixError

__all__ = ["main"]


def main() -> None:
    """Run the ``threatmatrix`` command and leave with its exit code."""
    from threatmatrix.cli.app import app

    try:
        app(prog_name="threatmatrix")
    except ThreatmatrixError as error:
        if os.environ.get("THREATMATRIX_DEBUG"):
            raise
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # whoever read our output has gone (`| head`): that is no error, but the interpreter must not flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("THREATMATRIX_DEBUG"):
            raise
        sys.stderr.write(
            f"error: {type(error).__name__}: {error}. This is a defect of threatmatrix: run again with "
            "THREATMATRIX_DEBUG=1 for the traceback and report it.\n"
        )
        sys.exit(3)
