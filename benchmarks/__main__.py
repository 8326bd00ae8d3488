"""``make bench``: every benchmark, each figure beside a named baseline measured in the same run.

``python -m benchmarks telemetry --full``: one of them (or more) by name; options go to each of those named. By name
only: ``attacks`` (``make bench-attacks``), which takes minutes and compares with libraries of an extra.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BY_NAME_ONLY = {"attacks"}


def main() -> int:
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    known = {path.stem.removeprefix("bench_"): path.stem for path in sorted(HERE.glob("bench_*.py"))}
    unknown = [name for name in wanted if name not in known]
    if unknown or (options and not wanted):
        print(f"usage: python -m benchmarks [NAME … [--OPTION]]; names: {', '.join(known)}", file=sys.stderr)
        print(f"without a name all of them, but for: {', '.join(sorted(BY_NAME_ONLY))}", file=sys.stderr)
        return 2
    failed = 0
    for name in wanted or [name for name in known if name not in BY_NAME_ONLY]:
        print(f"\n=== {name} ===", flush=True)
        # a process each: what one leaves in the caches of the other must not show
        command = [sys.executable, "-m", f"benchmarks.{known[name]}", *options]
        failed |= subprocess.run(command, cwd=HERE.parent, check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
