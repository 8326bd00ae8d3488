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
from threatmatrix.workflows.watch.config import WatchConfig

__all__ = ["open_followers"]

_HINT = "Name a file, a directory, a pattern, - or kafka://host:port/topic"


def open_followers(config: WatchConfig, options: Options) -> list[Follower]:
    """One for each source. Raises UsageError, UnknownNameError, MissingExtraError."""
    if not config.sources:
        raise UsageError("nothing to watch", hint=_HINT)
    followers: list[Follower] = []
    try:
        followers.extend(_open(text, config, options) for text in config.sources)
        names = [follower.name for follower in followers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{twice}: is named twice", hint="Name each source once")
    except BaseException:
        for follower in followers:
            follower.close()
        raise
    return followers


def _open(text: str, config: WatchConfig, options: Options) -> Follower:
    if text == "-":
        return StdinFollower(config.source, options=options)
    if text.startswith("kafka://"):
        return _kafka(text, config, options)
    path = Path(text).absolute()
    grace = config.grace_seconds
    if path.is_dir():
        return DirectoryFollower(path, source=config.source, options=options, grace=grace)
    if glob.has_magic(text) and not path.exists():
        parts = path.parts
        fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        pattern = str(Path(*parts[fixed:]))
        return DirectoryFollower(Path(*parts[:fixed]), pattern, config.source, options=options, grace=grace)
    return FileFollower(path, config.source, options=options, grace=grace)


def _kafka(text: str, config: WatchConfig, options: Options) -> Follower:
    from threatmatrix.telemetry.following.kafka import KafkaFollower  # an extra, and a heavy one

    address = urlsplit(text)
    topic = address.path.strip("/")
    if not address.netloc or not topic or address.query or address.fragment or "@" in address.netloc:
        hint = "Write kafka://host:port/topic; what else librdkafka must know goes into its settings"
        raise UsageError("no such Kafka source", hint=hint)
    return KafkaFollower(
        address.netloc, topic, config.source, settings=config.kafka, group=config.name, options=options
    )
