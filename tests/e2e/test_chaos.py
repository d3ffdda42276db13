"""Batches keep every promise under the faults of some seeds; `python -m bench.chaos` runs many more seeds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from rich.console import Console

from bench.chaos.plan import EVERYTHING, SHORT, make_plan
from bench.chaos.run import Result, Series, run, run_all
from bench.chaos.stage import Stage, stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEEDS = range(1, 11)
SIDE_BY_SIDE = 3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chaos() -> AsyncIterator[Stage]:
    """One stack whose services and replicas may be killed."""
    async with stage() as running:
        yield running


@pytest.mark.attack
async def test_batches_under_faults_keep_every_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plans = [make_plan(seed, SHORT) for seed in SEEDS]
    results: list[Result] = []
    series = Series(Console(soft_wrap=True, highlight=False), tmp_path, results.append, " --short")
    await run_all(plans, SHORT, SIDE_BY_SIDE, series)
    assert {result.plan.seed for result in results} == set(SEEDS)
    broken = {result.plan.seed: result.violations for result in results if result.violations}
    assert broken == {}, capsys.readouterr().out


async def test_seed_makes_the_same_faults_in_the_same_order(chaos: Stage, tmp_path: Path) -> None:
    plan = make_plan(43, SHORT, EVERYTHING - {"lose-redis", "pause", "redrive"})
    logs = []
    for name in ("first", "second"):
        result = await run(chaos, plan, name, tmp_path)
        assert result.violations == []
        logs.append((chaos.folder / f"{name}.faults.ndjson").read_text())
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == len(plan.steps) == 3
