"""One watch from start to end: what it needs is opened, what was left undone is done, then the loop runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from threatmatrix.model.errors import RuleError
from threatmatrix.telemetry.following.parsing import PieceParser
from threatmatrix.telemetry.joining import Joiner
from threatmatrix.telemetry.readers import NOTHING_ASKED
from threatmatrix.telemetry.systems import Resolver, expected_sources
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.feeding import reader_options
from threatmatrix.workflows.respond import Responder
from threatmatrix.workflows.watch.chores import Chores
from threatmatrix.workflows.watch.config import OnEvent, Said, Started, WatchConfig, WatchReport
from threatmatrix.workflows.watch.durable import only_one
from threatmatrix.workflows.watch.gathering import Gathered
from threatmatrix.workflows.watch.health import Health, serve
from threatmatrix.workflows.watch.judging import Judge
from threatmatrix.workflows.watch.keeping import Keeper
from threatmatrix.workflows.watch.loop import Loop, OnStep
from threatmatrix.workflows.watch.memory import few_sweeps
from threatmatrix.workflows.watch.metrics import Figures
from threatmatrix.workflows.watch.reading import Intake
from threatmatrix.workflows.watch.recording import Recorder
from threatmatrix.workflows.watch.sources import open_followers
from threatmatrix.workflows.watch.stopping import Stop, Stopped

__all__ = ["run"]

_SLOWEST_BATCH = 60.0  # seconds after which a batch counts as stuck


def _nothing(_: object) -> None:
    """Nobody listens."""


def run(
    config: WatchConfig, *, on_event: OnEvent = _nothing, stop: Stop | None = None, on_step: OnStep = _nothing
) -> WatchReport:
    """Watch until SIGINT or SIGTERM (in the main thread), until ``stop`` is asked, or (``once``) until nothing comes.

    ``stop`` is closed by who made it. Raises UsageError (a source or name that cannot be, an address that is taken,
    another watch of this name), UnknownNameError, MissingExtraError, InputError (standard input that no reader
    recognises), StoreError (no store) and FormatError (a journal or snapshot that is damaged). What fails later, for
    want of space or a free store, is waited for.
    """
    with ExitStack() as stack:
        if stop is None:
            stop = Stop()
            stack.callback(stop.close)
        stack.enter_context(stop.on_signals())
        watch = _Watch(config, stack, stop, on_event, on_step)
        stack.enter_context(few_sweeps())
        return watch.run()


class _Watch:
    def __init__(self, config: WatchConfig, stack: ExitStack, stop: Stop, on_event: OnEvent, on_step: OnStep) -> None:
        self._config, self._stack, self._say = config, stack, on_event
        self._began = time.monotonic()
        self._keeper = Keeper(config.home, config.name)
        stack.enter_context(only_one(self._keeper.folder, f"a watch named {config.name}"))
        stack.callback(self._keeper.close)
        self._figures = Figures()
        self._health = Health(max(_SLOWEST_BATCH, 10 * config.batch_seconds))
        self._metrics = ""
        if config.metrics is not None:
            self._metrics = stack.enter_context(serve(config.metrics, self._figures.text, self._health.state))
        self._intake = self._open_intake()
        self._judge, self._rules_refused = self._open_judge()
        self._lake = config.home.open_lake()
        stack.callback(self._lake.close)
        gathered = Gathered(
            self._lake,
            f"{config.name}-{self._keeper.origin}",
            most=config.lake_events,
            longest=int(config.lake_seconds * 1_000_000),
        )
        self._loop = Loop(
            config,
            keeper=self._keeper,
            intake=self._intake,
            judge=self._judge,
            recorder=self._open_recorder(),
            gathered=gathered,
            figures=self._figures,
            health=self._health,
            stop=stop,
            say=on_event,
            on_step=on_step,
            chores=self._open_chores(),
        )

    def run(self) -> WatchReport:
        waiting = ""
        try:
            self._recover()
            self._loop.run()
        except Stopped:
            waiting = self._loop.patience.waiting
        return self._report(waiting)

    def _recover(self) -> None:
        state = self._keeper.load()
        if state is not None and (anew := self._judge.restore(state)):
            self._say(Said(f"new or changed since the last run, and begin with no memory: {', '.join(anew)}"))
        again = [number for number in self._keeper.journal.numbers() if number > self._keeper.saved]
        resumed = state is not None or bool(again)
        names = [follower.name for follower in self._intake.followers]
        self._say(Started(names, resumed, len(again), self._metrics))
        self._loop.recover(self._keeper.unsaved())
        for follower in self._intake.followers:
            position = self._keeper.position(follower.name)
            if position:
                follower.resume(position)

    def _open_intake(self) -> Intake:
        config = self._config
        options = config.options
        if options is None:
            asked = any(isinstance(source, str) for source in config.sources)
            options = reader_options(config.home, config.systems) if asked else NOTHING_ASKED
        followers = open_followers(config, options)
        intake = Intake(
            {follower: PieceParser(self._keeper.letters, asked) for follower, asked in followers},
            Resolver(config.systems),
            self._figures,
            most_bytes=config.batch_bytes,
            most_events=config.batch_events,
        )
        self._stack.callback(intake.close)
        return intake

    def _open_judge(self) -> tuple[Judge, Sequence[RuleError]]:
        session, refused = build_session(self._config.library, self._config.calibrations)
        return Judge(
            session,
            Joiner(sources=expected_sources(self._config.systems)),
            lateness=int(self._config.lateness_seconds * 1_000_000),
        ), refused

    def _open_chores(self) -> Callable[[], None]:
        if self._config.once:
            return lambda: None
        chores = Chores(self._config.home.lake, self._config.lake_days, self._say)
        self._stack.callback(chores.close)
        return chores

    def _open_recorder(self) -> Recorder:
        config = self._config
        store = config.home.open_store()
        self._stack.callback(store.close)
        recorder = Recorder(store)
        if config.respond:
            responder = Responder(store, config.library, config.home.policy, clock=recorder.clock)
            responder.resume()
            recorder.respond_with(responder)
        return recorder

    def _report(self, waiting: str) -> WatchReport:
        judge, loop = self._judge, self._loop
        return WatchReport(
            batches=loop.batches,
            events=loop.events,
            total_events=judge.events,
            again=loop.again,
            findings={technique: len(ids) for technique, ids in sorted(loop.found.items())},
            dead_letters=self._keeper.letters.count,
            duplicates=judge.duplicates,
            late=judge.watermark.late,
            ahead=judge.watermark.ahead,
            joined=judge.joined,
            held=judge.held,
            refused=self._intake.refused,
            no_visibility=judge.session.visibility(),
            rules_refused=self._rules_refused,
            seconds=time.monotonic() - self._began,
            waiting=waiting,
        )
