"""The real scripts in a real Redis against the reference, under any interleaving that hypothesis thinks of.

Some minutes, with a seed of one's own:
`LEDGER_PROFILE=ledger-long .venv/bin/python -m pytest tests/model --timeout=0 --hypothesis-seed=1`
"""

import os

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.changes import TABLE, walks
from tests.model.machine import LedgerMachine
from tests.model.world import World


def test_the_ledger_is_what_the_reference_says(world: World) -> None:
    profile = settings.get_profile(os.environ.get("LEDGER_PROFILE", "ledger"))
    run_state_machine_as_test(LedgerMachine, settings=profile)
    # Each step was compared. What is drawn differs with the modules that are loaded; some batches are always done.
    assert ("reducing", "done", "finish") in world.changes
    assert world.changes - TABLE == set()


def test_the_table_of_states_has_every_change_and_no_other(world: World) -> None:
    """The machine alone would not reach every row in its default run."""
    for walk in walks():
        walk(LedgerMachine())
    assert world.changes == TABLE
