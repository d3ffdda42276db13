"""Hostile requests at a real function: a few conversations of a fixed seed. `python -m bench.fuzz` holds more."""

from pathlib import Path

import pytest

from bench.fuzz.__main__ import figures, render, rows
from bench.fuzz.run import run
from bench.fuzz.stage import stage
from bench.kit.results import publish_rows
from tests.rigs.bench.machine import MACHINE

ROUNDS = 2


@pytest.mark.attack
async def test_hostile_requests_are_answered_as_described_and_leave_nothing_behind(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        seen = await run(one, 1, rounds=ROUNDS)
    assert seen.violations == []
    assert seen.conversations == ROUNDS * 20
    modes = {mode for mode, _ in seen.counts}
    assert {"batch", "task", "POST /collect", "status", "cancel", "redrive", "delete", "sweep", "raw"} < modes
    assert seen.accepted
    page = publish_rows(tmp_path, MACHINE | figures(seen), {"fuzz": rows(seen)}, render)
    assert "| violations | 0 |" in page
    assert f"| answers | {seen.counts.total():,} |" in page
