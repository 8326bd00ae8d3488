"""The loop: read → journal → judge → store → lake → snapshot → trim, and what a restart does again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from threatmatrix.model.event import DeadLetter
from threatmatrix.workflows.watch.config import BatchDone, OnEvent, Said, WatchConfig
from threatmatrix.workflows.watch.gathering import Gathered
from threatmatrix.workflows.watch.health import Health
from threatmatrix.workflows.watch.journal import Batch
from threatmatrix.workflows.watch.judging import Judge
from threatmatrix.workflows.watch.keeping import Keeper
from threatmatrix.workflows.watch.memory import Sweeps
from threatmatrix.workflows.watch.metrics import Figures
from threatmatrix.workflows.watch.patience import Patience
from threatmatrix.workflows.watch.reading import Intake, Taken
from threatmatrix.workflows.watch.recording import Recorder
from threatmatrix.workflows.watch.stopping import Stop

__all__ = ["Loop", "OnStep"]

OnStep = Callable[[str], None]
"""Called after each step, by name: ``read``, ``letters``, ``journal``, ``judge``, ``store``, ``lake``, ``snapshot``,
``trim``. For trials that kill the process there."""

_SNAPSHOT_SHARE = 20  # a snapshot may take a twentieth of the time
_IDLE_ROUNDS = 3  # looks at all sources that find nothing, before ``once`` believes that nothing is there


class Loop:
    """One watch at work. Everything after the journal depends on the batches alone: no clock, no order of a set."""

    def __init__(
        self,
        config: WatchConfig,
        *,
        keeper: Keeper,
        intake: Intake,
        judge: Judge,
        recorder: Recorder,
        gathered: Gathered,
        figures: Figures,
        health: Health,
        stop: Stop,
        say: OnEvent,
        on_step: OnStep,
        chores: Callable[[], None],
    ) -> None:
        self._config = config
        self._keeper, self._intake, self._judge = keeper, intake, judge
        self._recorder, self._gathered = recorder, gathered
        self._figures, self._health, self._stop, self._say, self._step = figures, health, stop, say, on_step
        self._chores = chores
        self._sweeps = Sweeps()
        self.patience = Patience(stop, health, say, lambda step: figures.retries.labels(step).inc())
        self._clock = time.monotonic()  # of the newest batch
        self._saved = time.monotonic()
        self._save_cost = 0.0
        self.batches = self.events = self.again = 0
        self.found: dict[str, set[str]] = {}  # technique → finding ids
        self.letters: list[DeadLetter] = []

    def recover(self, batches: Iterable[Batch]) -> None:
        """Judge the journal's batches again, from the snapshot that was restored. Raises Stopped."""
        for batch in batches:
            self._work(batch, again=True)
            self.again += len(batch.events)
        self.patience.until("dead letters", lambda _: self._keeper.letters.cut(self._keeper.letters_size))
        self._trim()

    def run(self) -> None:
        """Until somebody asks to stop, or (``once``) nothing more comes. Raises Stopped where a step does not work."""
        quiet = 0
        while not self._stop.asked:
            began = time.monotonic()
            taken = self._intake.take()
            self._step("read")
            for notice in self._intake.notices():
                self._say(Said(notice))
            came = bool(taken.positions or taken.events)
            self._health.blind = self._intake.blind
            if came or self._due_without_events():
                self._batch(taken, flush=not came and self._lake_waits())
            self._chores()
            self._observe()
            quiet = 0 if came else quiet + 1
            if self._intake.ended or (self._config.once and quiet >= _IDLE_ROUNDS):
                break
            if not taken.full:
                self._stop.wait(began + self._pause - time.monotonic())
        self._end()

    @property
    def _pause(self) -> float:
        return min(self._config.batch_seconds, 0.05) if self._config.once else self._config.batch_seconds

    def _end(self) -> None:
        whole = self._config.once or self._intake.ended
        taken = Taken()
        if whole and not self._stop.asked:
            self._intake.finish()  # a last line without its newline, too, is a line now
            while (taken := self._intake.take()).full:
                self._batch(taken)
        if taken.positions or whole or not self._gathered.empty:
            self._batch(taken, flush=True, release=whole)
        self._save()

    def _batch(self, taken: Taken, *, flush: bool = False, release: bool = False) -> None:
        self._health.begin()
        now = time.monotonic()
        before = self._keeper.letters.size
        self.letters = list(self._keeper.letters.waiting)
        size = self.patience.until("dead letters", lambda _: self._keeper.letters.write(before))
        self._step("letters")
        batch = Batch(
            number=self._keeper.number + 1,
            arrived=time.time_ns() // 1000,
            elapsed=max(0, int((now - self._clock) * 1e6)) if self.batches else 0,
            events=taken.events,
            positions=taken.positions,
            letters=size,
            flush=flush,
            release=release,
        )
        self._clock = now
        self.patience.until("journal", lambda _: self._keeper.journal.write(batch))
        self._keeper.take(batch)
        self._step("journal")
        self._figures.letters(self.letters)
        self._work(batch, again=False)
        self._health.done()

    def _work(self, batch: Batch, *, again: bool) -> None:
        began = time.monotonic()
        judged = self._judge.judge(batch.events, arrived=batch.arrived, elapsed=batch.elapsed, release=batch.release)
        self._step("judge")
        if judged.findings:
            self.patience.until(
                "store", lambda tried: self._recorder.record(judged.findings, batch.arrived, again=again or tried)
            )
        self._step("store")
        self._gathered.add(judged, batch.number, batch.elapsed)
        if self._gathered.due or batch.flush:
            self.patience.until("lake", lambda _: self._gathered.flush())
            self._figures.flushed.set_to_current_time()
            self._step("lake")
        self.batches += 1
        self.events += len(batch.events)
        for finding in judged.findings:
            self.found.setdefault(finding.technique, set()).add(finding.finding_id)
        seconds = time.monotonic() - began
        self._figures.batches.inc()
        self._figures.batch_seconds.observe(seconds)
        self._figures.found(judged.findings)
        if batch.events:
            self._figures.lag.set((batch.arrived - max(event.time for event in batch.events)) / 1e6)
        behind = sum(self._intake.behind.values())
        total = self._judge.events
        self._say(BatchDone(batch.number, len(batch.events), tuple(judged.findings), seconds, total, behind, again))
        if not again:
            self._save_if_due()
        self._sweeps.after(len(batch.events) + len(self.letters))

    def _due_without_events(self) -> bool:
        """Records wait for their partners, or events for the lake: time itself must go on in the journal."""
        return self._lake_waits() or self._watermark_waits()

    def _lake_waits(self) -> bool:
        return not self._gathered.empty and time.monotonic() - self._clock >= self._config.lake_seconds

    def _watermark_waits(self) -> bool:
        return time.monotonic() - self._clock >= self._config.batch_seconds and self._judge.held > 0

    def _save_if_due(self) -> None:
        """After the lake was written: what is gathered for it lies in no snapshot."""
        waited = time.monotonic() - self._saved
        if self._gathered.empty and waited >= max(self._config.snapshot_seconds, _SNAPSHOT_SHARE * self._save_cost):
            self._save()

    def _save(self) -> None:
        if self._keeper.saved < self._keeper.number:
            began = time.monotonic()
            state = self._judge.snapshot()
            self.patience.until("snapshot", lambda _: self._keeper.save(state))
            self._save_cost = time.monotonic() - began
            self._figures.snapshot_seconds.set(self._save_cost)
            self._step("snapshot")
            self._trim()
        self._saved = time.monotonic()

    def _trim(self) -> None:
        self.patience.until("journal", lambda _: self._keeper.trim())
        self._step("trim")

    def _observe(self) -> None:
        self._health.beat()
        figures, judge = self._figures, self._judge
        figures.duplicates.set(judge.duplicates)
        figures.late.set(judge.watermark.late)
        figures.ahead.set(judge.watermark.ahead)
        figures.joined.set(judge.joined)
        figures.held.set(judge.held)
        figures.wait_for(self._intake.behind)
        figures.journal.set(self._keeper.number - self._keeper.saved)
        figures.unflushed.set(len(self._gathered.events))
        figures.refused.set(len(self._intake.refused))
        if self._health.last_batch is not None:
            figures.last.set(self._health.last_batch)
