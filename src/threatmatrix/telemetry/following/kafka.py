"""Following a Kafka topic: every record's value is one line, or several."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from threatmatrix.model.errors import FormatError, InputError, MissingExtraError
from threatmatrix.telemetry.following.base import Piece, Position
from threatmatrix.telemetry.following.formats import reader_of
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, check_source
from threatmatrix.telemetry.records import MAX_LINE

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

__all__ = ["KafkaFollower"]

_AT_ONCE = 1000  # records asked for in one call
_FIRST_WAIT = 0.2  # seconds that the first call may take to get at what is there
_LOOK_EVERY = 30.0  # seconds between looks for new partitions
_QUEUED_KB = 16 * 1024


class KafkaFollower:
    """Reads every partition of a topic from where the journal says; nothing is ever committed to the group.

    What the broker removed before it was read (retention) is named in a notice. ``settings`` are librdkafka's own
    (``security.protocol``, ``sasl.username`` …).
    """

    ended = False

    def __init__(
        self,
        brokers: str,
        topic: str,
        source: str = AUTO,
        *,
        group: str,
        settings: Mapping[str, str] | None = None,
        options: Options = NOTHING_ASKED,
        timeout: float = 5.0,
    ) -> None:
        """``timeout``: seconds for the broker to say which partitions there are.

        Raises UnknownNameError (source), MissingExtraError without confluent-kafka, InputError for settings that
        librdkafka refuses.
        """
        check_source(source)
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError as error:
            raise MissingExtraError("reading from Kafka", "kafka") from error
        self.name = f"kafka://{brokers}/{topic}"
        self.topic = topic
        self._source, self._options = source, options
        asked = {
            **(settings or {}),
            "bootstrap.servers": brokers,
            "group.id": f"threatmatrix-{group}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": _QUEUED_KB,
            "enable.partition.eof": False,
            "error_cb": self._failed,
            "logger": _Silent(),
        }
        try:
            self._consumer: Consumer = Consumer(asked)
        except (KafkaException, TypeError, ValueError) as error:
            raise InputError(self.name, f"librdkafka refuses its settings: {error}", hint="Check them") from error
        self._started = False
        self._next: dict[int, int] = {}  # partition → offset
        self._changed: set[int] = set()
        self._looked = float("-inf")
        self._timeout = timeout
        self._notices: list[str] = []
        self._behind: int | None = None
        self.refused: dict[str, str] = {}

    @property
    def behind(self) -> int | None:
        """Records, as far as the broker has told."""
        return self._behind

    def moved(self) -> Position:
        changed, self._changed = self._changed, set()
        return {str(partition): self._next[partition] for partition in sorted(changed)}

    def resume(self, position: Position) -> None:
        for key, offset in position.items():
            if not key.isdecimal() or type(offset) is not int or offset < 0:
                raise FormatError(self.name, "is not where a topic stands", key=f"position.{key}")
            self._next[int(key)] = offset
        self._looked = float("-inf")

    def finish(self) -> None:
        """Every record is whole."""

    def notices(self) -> list[str]:
        said, self._notices = self._notices, []
        return said

    def close(self) -> None:
        self._consumer.close()

    def read(self, most: int) -> list[Piece]:
        fresh = self._look()
        if not self._next:
            return []
        pieces: list[Piece] = []
        size, wait = 0, _FIRST_WAIT if fresh else 0.0
        while size < most:
            messages = self._consumer.consume(_AT_ONCE, timeout=wait)
            wait = 0.0
            if not messages:
                break
            for message in messages:
                piece = self._piece(message)
                if piece is not None:
                    pieces.append(piece)
                    size += piece.size
        self._measure()
        return pieces

    def _piece(self, message: Message) -> Piece | None:
        from confluent_kafka import KafkaError

        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is not None:
            if (
                error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
                and partition is not None
            ):
                self._lost(partition)
            else:
                self._failed(error)
            return None
        if partition is None or offset is None or offset < self._next.get(partition, 0):
            return None
        self.refused.pop(self.name, None)
        value = message.value() or b""
        try:
            reader = self._reader(value)
        except InputError as refusal:
            # what comes next may tell; until then the line is a dead letter of whatever reader is asked first
            self._notices.append(refusal.message)
            reader = AUTO
        self._next[partition] = offset + 1
        self._changed.add(partition)
        lines = tuple(line[: MAX_LINE + 1] for line in bytes(value).removesuffix(b"\n").split(b"\n"))
        return Piece(f"{self.name}/{partition}", reader, offset, lines, len(value))

    def _reader(self, value: bytes) -> str:
        if not self._started and value.strip():
            self._source = reader_of(self.name, value, self._source, self._options)
            self._started = True
        return self._source

    def _look(self) -> bool:
        """Ask for partitions now and then; whether reading begins anew."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return False
        self._looked = now
        partitions = self._partitions()
        fresh = [partition for partition in partitions if partition not in self._next]
        for partition in fresh:
            self._next[partition] = self._oldest(partition)
            self._changed.add(partition)
        if partitions and (fresh or not self._consumer.assignment()):
            self._consumer.assign([self._at(partition, offset) for partition, offset in sorted(self._next.items())])
            return True
        return False

    def _partitions(self) -> list[int]:
        from confluent_kafka import KafkaException

        try:
            found = self._consumer.list_topics(self.topic, timeout=self._timeout).topics[self.topic]
        except KafkaException as error:
            self._failed(error.args[0])
            self._looked = time.monotonic() - _LOOK_EVERY + self._timeout
            return []
        if found.error is not None:
            self._failed(found.error)
            return []
        return sorted(found.partitions)

    def _oldest(self, partition: int) -> int:
        low, _ = self._consumer.get_watermark_offsets(self._at(partition, 0), timeout=self._timeout)
        return int(low)

    def _lost(self, partition: int) -> None:
        """The broker no longer has what comes next, or the topic was made anew."""
        oldest = self._oldest(partition)
        before = self._next.get(partition, 0)
        self._notices.append(
            f"{self.name}: partition {partition} no longer has offset {before:,}; reading goes on at {oldest:,}"
        )
        self._next[partition] = oldest
        self._changed.add(partition)
        self._consumer.seek(self._at(partition, oldest))

    def _measure(self) -> None:
        behind = 0
        for partition, offset in self._next.items():
            try:
                _, high = self._consumer.get_watermark_offsets(self._at(partition, 0), cached=True)
            except Exception:  # noqa: BLE001 - a figure for people
                return
            behind += max(0, int(high) - offset)
        self._behind = behind

    def _at(self, partition: int, offset: int) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self.topic, partition, offset)

    def _failed(self, error: Any) -> None:
        why = f"{self.name}: {error.str() if hasattr(error, 'str') else error}"
        if self.refused.get(self.name) != why:
            self._notices.append(why)
        self.refused = {self.name: why}


class _Silent:
    """librdkafka's own messages would go to standard error; what matters comes as errors."""

    def log(self, *_: object) -> None: ...
