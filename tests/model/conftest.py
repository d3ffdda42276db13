"""Profiles for the length of a run, see test_ledger_machine, and the world of the machine."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from pipeline.ledger import ledger
from tests.model.machine import LedgerMachine
from tests.model.reference.batch import CUT_BYTES, CUT_OUTCOMES
from tests.model.world import World, open_world

_ALWAYS = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)

# Shrinking takes minutes, so only the long profile does it.
settings.register_profile(
    "ledger", _ALWAYS, derandomize=True, max_examples=60, stateful_step_count=40, phases=[Phase.generate]
)
settings.register_profile("ledger-long", _ALWAYS, max_examples=3_000, stateful_step_count=80)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world of the machine, with small segments."""
    monkeypatch.setattr(ledger, "SEGMENT_OUTCOMES", CUT_OUTCOMES)
    monkeypatch.setattr(ledger, "SEGMENT_BYTES", CUT_BYTES)
    with open_world() as opened:
        monkeypatch.setattr(LedgerMachine, "world", opened, raising=False)
        yield opened
