"""Each reader: what it makes of a record, and what it refuses by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.log_records import EVERY, as_log, options

from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.messages import is_http, split_http
from threatmatrix.telemetry.readers import NOTHING_ASKED, SOURCES, Options, Where, get_reader
from threatmatrix.telemetry.readers.base import address_of
from threatmatrix.telemetry.readers.plugins import check_reader
from threatmatrix.telemetry.reading import first_lines, read_events
from threatmatrix.telemetry.records import LineParser

Build = Callable[..., dict[str, Any]]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "samples"


def parse(source: str, obj: dict[str, Any]) -> Event:
    (event,) = get_reader(source).parse(obj, Where("log", 4))
    return event


AUTOMATIC = [source for source in SOURCES if source != "mapping"]


@pytest.mark.parametrize("source", AUTOMATIC)
def test_detection_knows_its_own_and_only_its_own(source: str) -> None:
    for record in EVERY[source]:
        data = as_log(record)
        lines = first_lines(data) if is_http(first_lines(data)) else ["", "garbage", *first_lines(data)]
        assert [name for name, reader in SOURCES.items() if reader.recognises(lines)] == [source]


def events_of(source: str, asked: Options) -> list[Event]:
    """The events of every record that we have of a source, read as a file of it would be."""
    parser = LineParser(get_reader(source, asked), "log", DeadLetterFile())
    events: list[Event] = []
    for data in map(as_log, EVERY[source]):
        if not is_http(first_lines(data)):
            parser.line(data, 1, events)
            continue
        for line, message, raw in split_http(data):
            assert not isinstance(message, str), message
            parser.message(message, raw, line, events)
    assert parser.dead_letters is not None
    assert not parser.dead_letters.reasons
    return events


@pytest.mark.parametrize("source", SOURCES)
def test_a_reader_gives_only_the_fields_it_names(source: str) -> None:
    gives = get_reader(source, options()).gives
    for event in events_of(source, options()):
        given = {name for name in EVENT_COLUMNS if getattr(event, name) is not None}
        assert given <= set(gives[event.category])
        assert event.source == source


@pytest.mark.parametrize("source", SOURCES)
def test_no_input_is_kept_unless_asked_for(source: str) -> None:
    asked = NOTHING_ASKED if source != "mapping" else Options(mapping=options().mapping)
    for event in events_of(source, asked):
        assert event.input_raw is None
        assert source == "gateway" or (event.input_fp, event.input_vec) == (None, None)  # its writer has the key


TOKEN = "sk-proj-Ab12Cd34Ef56Gh78Ij90"


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("nginx", {"ua": f"sdk {TOKEN}"}),
        ("gateway", {"user_agent": f"sdk {TOKEN}"}),
        ("nginx", {"user": TOKEN, "key_id": TOKEN}),
        ("nginx", {"uri": f"/{TOKEN}/v2/models/labels/infer"}),
        ("nginx", {"uri": f"/get-artifact?path={TOKEN}"}),
        ("envoy", {"user_agent": f"Bearer {TOKEN}"}),
        ("envoy", {"principal": f"Bearer {TOKEN}"}),
        ("mapping", {"req": {"user": {"id": TOKEN}}}),
    ],
)
def test_a_secret_in_the_place_of_a_name_does_not_stay(record: Build, source: str, change: dict[str, Any]) -> None:
    for asked in (Options(mapping=options().mapping), options()):
        (event,) = get_reader(source, asked).parse(record(source, **change), Where())
        assert TOKEN not in repr(event)


def test_raw_inputs_of_the_gateway_are_kept_only_where_asked_for(record: Build) -> None:
    raw = record("gateway")["input_raw"]
    told = {
        keep: get_reader("gateway", Options(inputs=Inputs(Keyring(Key("k", b"k" * 32)), keep_raw=keep)))
        for keep in (True, False)
    }
    found = {keep: reader.parse(record("gateway"), Where())[0].input_raw for keep, reader in told.items()}
    assert found == {True: raw, False: None}


def test_a_secret_in_a_line_does_not_stay() -> None:
    line = '1.2.3.4 - {0} [01/Jan/2026:00:00:00 +0000] "GET /get-artifact?path={0} HTTP/1.1" 200 1 "-" "{0}"'
    (event,) = get_reader("mlflow").parse(line.format(TOKEN), Where())
    assert TOKEN not in repr(event)
    (event,) = get_reader("linux-auth").parse(
        f"2026-01-01T00:00:00Z h sshd[1]: Invalid user {TOKEN} from 10.0.0.1 port 1", Where()
    )
    assert TOKEN not in repr(event)


@pytest.mark.parametrize("source", SOURCES)
def test_what_every_reader_must_have(source: str) -> None:
    assert check_reader(SOURCES[source], source) == ""
    assert get_reader(source, options()).name == source


@pytest.mark.parametrize(
    ("address", "ip"),
    [
        ("203.0.113.9:40000", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        ("[2001:db8::7]:40000", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("/run/envoy.sock", "/run/envoy.sock"),
        (None, None),
    ],
)
def test_addresses_without_port(address: str | None, ip: str | None) -> None:
    assert address_of(address) == ip


def test_unknown_source_names_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError) as error:
        get_reader("apache")
    assert set(error.value.choices) == set(SOURCES)


@pytest.mark.parametrize(
    "file", ["azureml.jsonl", "bedrock.jsonl", "kserve.http", "litellm.json", "nginx.jsonl", "sagemaker.jsonl"]
)
def test_samples_of_the_real_programs(file: str) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip("needs ../shared")
    letters = DeadLetterFile()
    events = [event for batch in read_events([path], dead_letters=letters) for event in batch]
    assert events
    assert {(event.source, event.category) for event in events} == {(path.stem, "inference")}
    assert letters.count == 0
