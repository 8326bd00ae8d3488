"""How fast ``threatmatrix --help`` starts, beside a trivial Typer program in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

TRIVIAL = """
import typer
app = typer.Typer()

@app.command()
def one(number: int = typer.Option(1, help="A number.")) -> None:
    "The first command."

@app.command()
def two() -> None:
    "The second command."

app()
"""


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(rounds: int = 15) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        trivial = Path(folder) / "trivial.py"
        trivial.write_text(TRIVIAL)
        ours = [sys.executable, "-m", "threatmatrix", "--help"]
        theirs = [sys.executable, str(trivial), "--help"]
        pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]  # in turn: a busy machine slows both
    mine, base = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"threatmatrix --help     {mine * 1000:6.0f} ms (median of {rounds})")
    print(f"a trivial Typer program {base * 1000:6.0f} ms")
    print(f"ratio                   {mine / base:6.2f}   (must stay at or below 1.5)")
    return {"ours": mine, "trivial": base, "ratio": mine / base}


if __name__ == "__main__":
    main()
