"""Fixtures of the monitors' tests."""

from __future__ import annotations

import pytest
from tests.detect.monitors.samples import Make, make_events


@pytest.fixture
def make() -> Make:
    return make_events
