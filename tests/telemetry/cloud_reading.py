"""Reading the made-up records of the cloud's logs."""

from __future__ import annotations

from functools import cache
from typing import Any

import tests.telemetry.records_cloud as cloud
from tests.telemetry.log_records import RECORDS

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.readers.base import NOTHING_ASKED, Options, Reader, Where
from threatmatrix.telemetry.readers.bedrock import BedrockReader
from threatmatrix.telemetry.readers.cloudtrail import CloudTrailReader
from threatmatrix.telemetry.readers.litellm import LiteLLMReader
from threatmatrix.telemetry.readers.ocsf import OcsfReader
from threatmatrix.telemetry.readers.otel import OTelReader

READERS: dict[str, Reader] = {
    reader.name: reader for reader in (BedrockReader(), CloudTrailReader(), OTelReader(), OcsfReader(), LiteLLMReader())
}
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "bedrock": [cloud.BEDROCK_CONVERSE, cloud.BEDROCK_STREAM, cloud.BEDROCK_ERROR],
    "cloudtrail": [
        cloud.CLOUDTRAIL_INFERENCE,
        cloud.CLOUDTRAIL_ACCESS,
        cloud.CLOUDTRAIL_OBJECT,
        cloud.CLOUDTRAIL_LOGIN,
        cloud.CLOUDTRAIL_SIGN_IN,
        cloud.CLOUDTRAIL_API,
        cloud.CLOUDTRAIL_MODEL,
    ],
    "otel": [
        cloud.traces(cloud.CHAT, cloud.TOOL, cloud.AGENT, cloud.RETRIEVAL),
        cloud.traces(cloud.SERVED, cloud.METADATA, cloud.PAGE, service_name="labels-server"),
    ],
    "ocsf": [
        cloud.OCSF_AI,
        cloud.OCSF_HTTP,
        cloud.OCSF_METADATA,
        cloud.OCSF_PAGE,
        cloud.OCSF_LOGIN,
        cloud.OCSF_API,
        cloud.OCSF_DESCRIBE,
        cloud.OCSF_BUCKET,
        cloud.OCSF_WEB,
        cloud.OCSF_MODEL_API,
    ],
    "litellm": [RECORDS["litellm"], cloud.LITELLM_SPEND, cloud.LITELLM_FAILURE, cloud.LITELLM_TOOL],
}


@cache  # the projection of a key takes long to make
def options(secret: bytes = b"x" * 32, *, keep_raw: bool = False, overlap: bool = False) -> Options:
    """Options of an installation with this key, and with one before it that still counts."""
    previous = Key("before", b"p" * 32) if overlap else None
    keyring = Keyring(Key("now", secret), previous, until=2**62 if overlap else 0)
    return Options(inputs=Inputs(keyring, keep_raw=keep_raw))


EVERYTHING = options(keep_raw=True, overlap=True)


def events_of(source: str, obj: dict[str, Any], asked: Options = NOTHING_ASKED) -> list[Event]:
    return list(READERS[source].with_options(asked).parse(obj, Where("log", 4)))


def event_of(source: str, obj: dict[str, Any], asked: Options = NOTHING_ASKED) -> Event:
    (event,) = events_of(source, obj, asked)
    return event


def filled(event: Event) -> set[str]:
    return {name for name in EVENT_COLUMNS if getattr(event, name) is not None}
