"""``make bench``: every benchmark, each figure beside a named baseline measured in the same run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    failed = 0
    for path in sorted(HERE.glob("bench_*.py")):
        print(f"\n=== {path.stem.removeprefix('bench_')} ===", flush=True)
        # a process each: what one leaves in the caches of the other must not show
        failed |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.{path.stem}"], cwd=HERE.parent, check=False
        ).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
