"""Put today's replay (seed 1, all samples) into the README: ``python -m tests.docs.refresh``, about a minute."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from tests.docs.shown import ROOT

COMMAND = "$ threatmatrix replay microsoft-edge-ai\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        program = [sys.executable, "-m", "threatmatrix", "--home", home, "replay", "microsoft-edge-ai"]
        run = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
    shown = "".join(f"{line.rstrip()}\n" for line in run.stdout.splitlines())
    readme = ROOT / "README.md"
    before, after = readme.read_text(encoding="utf-8").split(COMMAND)
    readme.write_text(before + COMMAND + shown + after[after.index("```\n") :], encoding="utf-8")


if __name__ == "__main__":
    main()
