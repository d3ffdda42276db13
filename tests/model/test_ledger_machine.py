"""The real scripts in a real Redis against the reference, under any interleaving that hypothesis thinks of.

Some minutes, with a seed of one's own:
`LEDGER_PROFILE=ledger-long .venv/bin/python -m pytest tests/model --timeout=0 --hypothesis-seed=1`
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from pipeline.ledger import ledger
from tests.model.batch import CUT_BYTES, CUT_OUTCOMES
from tests.model.machine import LedgerMachine
from tests.model.world import World, open_world


@pytest.fixture
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened


def test_the_ledger_is_what_the_reference_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SEGMENT_OUTCOMES", CUT_OUTCOMES)
    monkeypatch.setattr(ledger, "SEGMENT_BYTES", CUT_BYTES)
    monkeypatch.setattr(LedgerMachine, "world", world, raising=False)
    profile = settings.get_profile(os.environ.get("LEDGER_PROFILE", "ledger"))
    run_state_machine_as_test(LedgerMachine, settings=profile)
    # Each step was compared. What is drawn differs with the modules that are loaded; some batches are always done.
    assert "done" in world.ends
