"""What a user names as a source → a follower."""

from __future__ import annotations

import glob
from pathlib import Path
from urllib.parse import urlsplit

from threatmatrix.model.errors import UsageError
from threatmatrix.telemetry.following.base import Follower
from threatmatrix.telemetry.following.directory import DirectoryFollower
from threatmatrix.telemetry.following.file import FileFollower
from threatmatrix.telemetry.following.stdin import StdinFollower
from threatmatrix.telemetry.readers import Options
from threatmatrix.workflows.feeding import Log
from threatmatrix.workflows.watch.config import WatchConfig

__all__ = ["open_followers"]

_HINT = "Name a file, a directory, a pattern, - or kafka://host:port/topic"


def open_followers(config: WatchConfig, options: Options) -> list[tuple[Follower, Options]]:
    """One for each source, with the options of its reader. Raises UsageError, UnknownNameError, MissingExtraError."""
    if not config.sources:
        raise UsageError("nothing to watch", hint=_HINT)
    logs = [one if isinstance(one, Log) else Log(one, config.source, options) for one in config.sources]
    followers: list[Follower] = []
    try:
        followers.extend(_open(log, config) for log in logs)
        names = [follower.name for follower in followers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{twice}: is named twice", hint="Name each source once")
    except BaseException:
        for follower in followers:
            follower.close()
        raise
    return [(follower, log.options) for follower, log in zip(followers, logs, strict=True)]


def _open(log: Log, config: WatchConfig) -> Follower:
    text, source, options = log.where, log.source, log.options
    if text == "-":
        return StdinFollower(source, options=options)
    if text.startswith("kafka://"):
        return _kafka(log, config)
    path = Path(text).absolute()
    grace = config.grace_seconds
    if path.is_dir():
        return DirectoryFollower(path, source=source, options=options, grace=grace)
    if glob.has_magic(text) and not path.exists():
        parts = path.parts
        fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        pattern = str(Path(*parts[fixed:]))
        return DirectoryFollower(Path(*parts[:fixed]), pattern, source, options=options, grace=grace)
    return FileFollower(path, source, options=options, grace=grace)


def _kafka(log: Log, config: WatchConfig) -> Follower:
    from threatmatrix.telemetry.following.kafka import KafkaFollower  # an extra, and a heavy one

    address = urlsplit(log.where)
    topic = address.path.strip("/")
    if not address.netloc or not topic or address.query or address.fragment or "@" in address.netloc:
        hint = "Write kafka://host:port/topic; what else librdkafka must know goes into its settings"
        raise UsageError("no such Kafka source", hint=hint)
    return KafkaFollower(
        address.netloc, topic, log.source, settings=config.kafka, group=config.name, options=log.options
    )
