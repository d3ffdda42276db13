"""Hostile requests at a real function: a few conversations of a fixed seed. `python -m bench.fuzz` holds more."""

from pathlib import Path

import pytest

from bench.fuzz.__main__ import markdown
from bench.fuzz.run import run
from bench.fuzz.stage import stage
from bench.kit.machine import describe_machine

ROUNDS = 2


@pytest.mark.attack
async def test_hostile_requests_are_answered_as_described_and_leave_nothing_behind(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        result = await run(one, 1, rounds=ROUNDS)
    assert result.seen.violations == []
    assert result.conversations == ROUNDS * 20
    modes = {mode for mode, _ in result.seen.counts}
    assert {"batch", "task", "POST /collect", "status", "cancel", "redrive", "delete", "sweep", "raw"} < modes
    assert result.seen.accepted
    page = markdown(result, describe_machine("bench.fuzz"))
    assert "| violations | 0 |" in page
    assert "| seed | 1 |" in page
