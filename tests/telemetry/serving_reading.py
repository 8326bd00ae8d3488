"""Reading the made-up records of the sources that capture model servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.telemetry.records_serving import (
    OPTIONS,
)

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.readers.azureml import AzureMLReader
from threatmatrix.telemetry.readers.base import Reader, Where
from threatmatrix.telemetry.readers.kserve import KServeReader
from threatmatrix.telemetry.readers.oip import OipReader
from threatmatrix.telemetry.readers.sagemaker import SageMakerReader
from threatmatrix.telemetry.readers.vertex import VertexReader

SHARED = Path(__file__).resolve().parents[3] / "shared" / "samples"
READERS: dict[str, Reader] = {
    reader.name: reader.with_options(OPTIONS)
    for reader in (KServeReader(), OipReader(), SageMakerReader(), AzureMLReader(), VertexReader())
}
PATH = "s3/captures/parcels/AllTraffic/2026/01/01/00/00-00-1.jsonl"


def parse(source: str, record: Any, file: str = "log") -> Sequence[Event]:
    return READERS[source].parse(record, Where(file, 4))


def fields_of(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in EVENT_COLUMNS if getattr(event, name) is not None}


def of_input(events: Sequence[Event]) -> list[tuple[str | None, bytes | None]]:
    return [(event.input_fp, event.input_vec) for event in events]


LEAVES = (
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | st.text(max_size=5) | st.just(10**400)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abxy"), inner, max_size=3),
    max_leaves=10,
)
BODIES = VALUES | st.builds(
    lambda key, value: {key: value},
    st.sampled_from(
        ["instances", "inputs", "data", "input_data", "dataframe_split", "predictions", "outputs", "Inputs"]
    ),
    VALUES | st.dictionaries(st.sampled_from(["data", "columns", "x"]), VALUES, max_size=3),
)
