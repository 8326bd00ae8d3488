"""The command line: commands, printing, progress and exit codes; no logic of its own.

Exit codes: 0 nothing to report, 1 findings at or above ``--fail-on``, 2 usage or unreadable input, 3 it broke while
running, 130 interrupted. Data goes to standard output, progress and warnings to standard error.
"""

from __future__ import annotations

import io
import os
import sys
import traceback

from threatmatrix.model.errors import ThreatmatrixError

__all__ = ["main"]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main() -> None:
    """Run the ``threatmatrix`` command and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show → must not stop the program
    try:
        sys.exit(_run())
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read our output has gone (`| head`): that is no error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> int:
    try:
        from threatmatrix.cli.app import app

        app(prog_name="threatmatrix")
    except SystemExit as leaving:  # Typer has its own way of saying it
        code = leaving.code if isinstance(leaving.code, int) else 0
        return _interrupted() if code == _INTERRUPTED else code
    except KeyboardInterrupt:
        return _interrupted()
    except ThreatmatrixError as error:
        return _failed(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 — the last line of defence: a person gets a line, not a traceback
        return _failed(
            f"{type(error).__name__}: {error}. This is a defect of threatmatrix: run again with "
            "THREATMATRIX_DEBUG=1 for the traceback and report it.",
            3,
        )
    return 0


def _interrupted() -> int:
    sys.stderr.write("interrupted\n")
    return _INTERRUPTED


def _failed(text: str, code: int) -> int:
    """One line, or under THREATMATRIX_DEBUG the traceback; the exit code is the same."""
    if os.environ.get("THREATMATRIX_DEBUG"):
        traceback.print_exc()
    else:
        from threatmatrix.cli.printing import warn

        warn(f"error: {' '.join(text.splitlines())}")
    return code
