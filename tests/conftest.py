"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples each time, so that a failure is a change of ours. Look for new ones with HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
