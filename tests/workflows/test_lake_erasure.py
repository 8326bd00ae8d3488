"""One principal leaves everything that threatmatrix keeps; what stays is listed."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.errors import InputError
from threatmatrix.model.event import DeadLetter, Event
from threatmatrix.model.response import ChainStep, Incident, PolicyEntry
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.workflows.erasure import erase, mask_letters
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.lake import compact_lake, expire_lake, lake_status
from threatmatrix.workflows.watch.durable import only_one
from threatmatrix.workflows.watch.journal import Batch, Journal
from threatmatrix.workflows.watch.snapshot import load_snapshot, save_snapshot

DAY = 86_400_000_000
AT = 20_454 * DAY
WHO = "mallory@example.org"


def event(name: str, principal: str | None = WHO, day: int = 0, **more: str) -> Event:
    return Event(
        event_id=name, time=AT + day * DAY, source="gateway", category="inference", principal=principal, **more
    )


FINDING = Finding(
    finding_id="f-1",
    detector="rule:abc",
    title=f"Burst of {WHO}",
    technique="online-evasion",
    severity=Severity.high,
    confidence=0.8,
    explanation=f"{WHO}, with not-{WHO}, asks often.",
    event_ids=("e1",),
    event_count=9,
    first_time=AT,
    last_time=AT,
    alarm_event="e1",
    principals=(PrincipalShare(WHO, 9, 0.9), PrincipalShare("bob", 1, 0.1)),
    details={"by": {WHO: 9}, "list": [WHO, 3]},
)
INCIDENT = Incident(
    incident_id="i-1",
    title=f"Evasion by {WHO}",
    severity=Severity.high,
    status="open",
    system=None,
    model=None,
    first_time=AT,
    last_time=AT,
    chain=(ChainStep("online-evasion", 1, 2, ("f-1",), 3),),
    principals=(PrincipalShare(WHO, 9, 1.0),),
    finding_ids=("f-1",),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An installation in which the principal is everywhere."""
    home = Home(tmp_path / "home").ensure()
    with closing(home.open_lake()) as lake:
        lake.append([event("a"), event("b", "bob", key_id=WHO), event("c", "bob", day=1)])
    with home.open_store() as store:
        store.findings.save(
            [FINDING, replace(FINDING, finding_id="f-2", title="", explanation="", principals=(), details={})]
        )
        store.incidents.save([INCIDENT])
        entry = PolicyEntry(
            entry_id="p-1", kind="block", owner="o", reason="r", created_at=0, expires_at=2**60, principal=WHO
        )
        store.policy.add(entry)
    for name in ("live", "idle"):
        folder = home.watches / name
        folder.mkdir(parents=True)
        journal = Journal(folder)
        journal.write(Batch(number=1, arrived=1, elapsed=0, events=(event("j"), event("k", "bob"))))
        journal.write(Batch(number=2, arrived=2, elapsed=1, events=(event("l", "bob", session=WHO),)))
        state = {"seen": {WHO: 3}, "names": np.array([WHO, "bob"]), "n": np.arange(3), "who": [WHO, None, 1.5]}
        save_snapshot(folder / "snapshot.npz", state)
    with DeadLetterFile(home.dead_letters, keep_raw=True) as letters:
        letters.add(DeadLetter("x.log", 1, "no JSON", f'{{"user": "{WHO}", "broken": '))
    return home


def holds(home: Home, text: str) -> bool:
    with closing(home.open_lake().connect()) as con:
        return text in repr(con.execute("SELECT * FROM events").fetchall())


def test_a_principal_is_erased_everywhere_and_what_stays_is_listed(home: Home) -> None:
    size = home.dead_letters.stat().st_size
    with only_one(home.watches / "live", "a watch"):
        report = erase(home, WHO)
    assert report.alias.startswith("erased-")
    assert len(report.alias) == len("erased-") + 16
    assert (report.lake.events, report.lake.renamed, report.lake.days) == (1, 1, ("2026-01-01",))
    assert (report.findings, report.incidents, report.journal_events, report.snapshots) == (1, 1, 2, 1)
    assert report.dead_letters == 1
    kept = [(left.where, left.count) for left in report.left]
    assert kept == [("watch live", 0), ("policy", 1), ("logs", 0), ("systems.yaml", 0)]
    assert not holds(home, WHO)
    assert holds(home, report.alias)
    with home.open_store() as store:
        finding, other = store.findings.many(["f-1", "f-2"])
        assert finding.principals == (PrincipalShare(report.alias, 9, 0.9), PrincipalShare("bob", 1, 0.1))
        assert finding.details == {"by": {report.alias: 9}, "list": [report.alias, 3]}
        assert finding.explanation == f"{report.alias}, with not-{WHO}, asks often."  # another account's name
        assert other.title == ""
        incident = store.incidents.get("i-1")
        assert (incident.title, incident.principals[0].principal) == (f"Evasion by {report.alias}", report.alias)
        assert [entry.principal for entry in store.policy.active()] == [WHO]  # it still blocks them
    idle = home.watches / "idle"
    assert [[e.event_id for e in batch.events] for batch in Journal(idle).read(0)] == [["k"], ["l"]]
    state = load_snapshot(idle / "snapshot.npz")
    assert state is not None
    assert state["seen"] == {report.alias: 3}
    assert state["names"].tolist() == [report.alias, "bob"]
    assert state["who"] == [report.alias, None, 1.5]
    assert home.dead_letters.stat().st_size == size
    assert WHO not in home.dead_letters.read_text()
    assert json.loads(home.dead_letters.read_text())["line"] == 1


def test_erasing_again_finishes_what_was_running_and_finds_nothing_else(home: Home) -> None:
    with only_one(home.watches / "live", "a watch"):
        first = erase(home, WHO)
    again = erase(home, WHO)
    assert again.alias == first.alias
    assert (again.lake.events, again.findings, again.incidents, again.dead_letters) == (0, 0, 0, 0)
    assert (again.journal_events, again.snapshots) == (2, 1)
    assert {left.where for left in again.left} == {"policy", "logs", "systems.yaml"}


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert erase(home, "nobody").lake.days == ()
    assert not home.lake.exists()
    with pytest.raises(InputError, match="is empty"):
        erase(home, "")


@pytest.mark.parametrize("name", ["alice", "text", "n", "u00e9", "e9", "0", '"', "\\", 'a"é\n'])
def test_only_what_dead_letters_quote_is_masked_and_they_stay_json(tmp_path: Path, name: str) -> None:
    path = tmp_path / "letters.jsonl"
    raw = f"{name}{name}, é\n" + json.dumps({"user": name})
    with DeadLetterFile(path, keep_raw=True) as letters:
        for line in range(3):
            letters.add(DeadLetter(f"/{name}.log", line, "not JSON", raw))
    size = path.stat().st_size
    assert mask_letters(path, name) >= 3 * 2
    assert path.stat().st_size == size
    for line, letter in enumerate(map(json.loads, path.read_text().splitlines())):
        assert list(letter) == ["file", "line", "reason", "size", "text"]
        assert (letter["file"], letter["line"], letter["reason"]) == (f"/{name}.log", line, "not JSON")
        assert json.dumps(name)[1:-1] not in re.sub(r"\\.", "", letter["text"])


def test_status_compaction_and_retention(home: Home) -> None:
    with closing(home.open_lake()) as lake:
        lake.append([event("d", "bob")])
    (home.lake / "day=2026-01-01" / "part-broken.parquet").write_bytes(b"nonsense")
    status = lake_status(home)
    assert [(day.day, day.events, day.fresh) for day in status.days] == [("2026-01-01", 3, 2), ("2026-01-02", 1, 1)]
    assert (status.events, status.to_compact) == (4, ("2026-01-01",))
    assert status.damaged == ("day=2026-01-01/part-broken.parquet",)
    told: list[tuple[str, int]] = []
    report = compact_lake(home, on_day=lambda day, events: told.append((day, events)))
    assert told == [("2026-01-01", 3), ("2026-01-02", 1)]
    assert [Path(path).name for path in report.damaged] == ["part-broken.parquet.damaged"]
    assert lake_status(home).damaged == ("day=2026-01-01/part-broken.parquet.damaged",)
    assert expire_lake(home, keep_days=1, today="2026-01-03").days == ("2026-01-01",)
    assert expire_lake(home, before="2026-01-02").days == ()
    assert lake_status(home).events == 1
    for wrong in ({}, {"before": "2026-01-01", "keep_days": 1}, {"before": "soon"}, {"keep_days": -1}):
        with pytest.raises(InputError):
            expire_lake(home, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no day"):
        compact_lake(home, ["yesterday"])
