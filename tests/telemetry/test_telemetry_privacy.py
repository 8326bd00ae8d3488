"""By default nothing that somebody sent reaches disk, output or an error: not an input, not a token, not a key.

Every source's log is seeded with canaries (``leaks``) and taken through detect, ingest, watch and a trial, in a process
of their own; then everything they left behind is searched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

import pytest
from tests.cli.conftest import uncounted
from tests.telemetry.leaks import Canaries, everything, leaked, seeded_log
from tests.telemetry.log_records import EVERY, MAPPING

from threatmatrix.telemetry.readers import SOURCES

CHILD = """
import json, logging, sys, traceback
from collections import Counter
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from threatmatrix.knowledge import load_library
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.workflows.feeding import reader_options
from threatmatrix.workflows.home import Home

root, logs, keep_raw = Path(sys.argv[1]), Path(sys.argv[2]), "raw" in sys.argv[5:]
home = Home(root / "home")
home.ensure()
files = sorted(file for file in logs.glob("*.log") if file.stem in sys.argv[4].split("+"))
mapped = logs / "mapping.log"
# every source as it is recognised, and the one that has to be told how to read its log
plain = reader_options(home, keep_raw=keep_raw)
told_how = reader_options(home, mapping=logs / "mapping.yaml", keep_raw=keep_raw)
groups = [
    ([file for file in files if file != mapped], "auto", plain),
    ([file for file in files if file == mapped], "mapping", told_how),
]
letters = DeadLetterFile(root / "dead-letters.jsonl", keep_raw=keep_raw)
read = Counter()

def detect(chosen, source, options):
    from threatmatrix.workflows.detect import detect
    report = detect(chosen, library=library, source=source, dead_letters=letters, options=options)
    with home.open_store() as store:
        store.findings.save(report.findings)
    print(report, letters.reasons)
    read.update({file.stem: report.events for file in chosen})

def ingest(chosen, source, options):
    from threatmatrix.workflows.ingest import ingest
    with home.open_lake() as lake:
        report = ingest(
            chosen, lake=lake, home=home.root, source=source, options=options, dead_letters=letters, workers=1
        )
    print(report, letters.reasons)
    read.update({file.stem: each.events for file, each in zip(chosen, report.files)})

def watch(chosen, source, options):
    from threatmatrix.workflows.watch.config import WatchConfig
    from threatmatrix.workflows.watch.run import run
    config = WatchConfig(
        name=source, sources=list(map(str, chosen)), home=home, library=library, source=source, options=options,
        once=True, batch_seconds=0.01,
    )
    report = run(config, on_event=print)
    print(report)
    read.update({file.stem: report.events for file in chosen if str(file) not in report.refused})

def trial(chosen, source, options):
    from threatmatrix.workflows.telemetry import try_log
    for file in chosen:
        report = try_log(file, library=library, source=source, options=options)
        print(report)
        read[file.stem] += report.events

told = {}
try:
    library = None if sys.argv[3] == "ingest" else load_library()  # which ingest does not need
    for step in sys.argv[3].split("+"):
        for group in filter(lambda group: group[0], groups):
            {"detect": detect, "ingest": ingest, "watch": watch, "trial": trial}[step](*group)
        told[step], read = read, Counter()
except Exception:
    traceback.print_exc()
letters.close()
(root / "read.json").write_text(json.dumps(told))
"""


@cache
def seeded(folder: Path) -> Canaries:
    """The logs of every source, in ``folder``."""
    canaries = Canaries()
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING)
    for source in SOURCES:
        (folder / f"{source}.log").write_bytes(seeded_log(canaries, source))
    return canaries


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "seeded logs"


def run(
    steps: str, root: Path, logs: Path, sources: Collection[str] = tuple(SOURCES), *more: str
) -> set[tuple[str, str]]:
    """Take the logs through these steps in another process; what leaked."""
    canaries = seeded(logs)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(logs), steps, "+".join(sources), *more],
        capture_output=True,
        check=False,
        cwd=root,
        env=uncounted(),
    )
    said = done.stderr.decode()[-2000:]
    assert done.returncode == 0, said
    (root / "stdout").write_bytes(done.stdout)
    (root / "stderr").write_bytes(done.stderr)
    read = json.loads((root / "read.json").read_text())
    assert "+".join(read) == steps, said
    for events in read.values():
        assert {source for source, count in events.items() if count} == set(sources), said
    return leaked(canaries, everything(root))


def test_every_source_is_seeded() -> None:
    assert set(EVERY) >= set(SOURCES)
    canaries = Canaries()
    for source in SOURCES:
        log = seeded_log(canaries, source)
        here = [canary for canary, where in canaries.texts.items() if where.startswith(f"{source}:")]
        assert sum(canary.encode() in log for canary in here) > 5, source


def test_nothing_that_was_sent_is_left_behind(tmp_path: Path, logs: Path) -> None:
    assert run("detect+trial+watch+ingest", tmp_path, logs) == set()


def test_what_somebody_asked_to_keep_is_found(tmp_path: Path, logs: Path) -> None:
    """So the search above would find a leak: in Parquet, in dead letters, of every kind."""
    found = run("ingest", tmp_path, logs, ("litellm", "sagemaker"), "raw")
    kinds = {where.partition(": ")[2] for _, where in found}
    assert {"prompt", "CSV", "text of an input", "malformed: no JSON"} <= kinds
    assert {name.partition("/")[0] for name, _ in found} >= {"dead-letters.jsonl", "home"}
    assert any(".parquet (decoded)" in name for name, _ in found)
