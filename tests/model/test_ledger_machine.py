"""The real scripts in a real Redis against the reference, under random interleavings from hypothesis.

A longer run with another seed:
`LEDGER_PROFILE=ledger-long .venv/bin/python -m pytest tests/model --timeout=0 --hypothesis-seed=1`
"""

import os

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import LedgerMachine
from tests.model.walks import TABLE, walks
from tests.model.world import World


def test_ledger_equals_the_reference(world: World) -> None:
    profile = settings.get_profile(os.environ.get("LEDGER_PROFILE", "ledger"))
    run_state_machine_as_test(LedgerMachine, settings=profile)
    # Each step was compared. The drawn steps depend on the loaded modules, but some batches always end.
    assert ("reducing", "done", "finish") in world.changes
    assert world.changes - TABLE == set()


def test_state_table_has_exactly_the_changes_seen(world: World) -> None:
    """The machine does not reach every row of the table in its default run."""
    for walk in walks():
        walk(LedgerMachine())
    assert world.changes == TABLE
