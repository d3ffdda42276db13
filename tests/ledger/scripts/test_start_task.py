"""start_task: one run of a task at a time, however often its message comes."""

import pytest

from tests.rigs.redis.ledger_bench import Bench


async def test_message_that_comes_again_runs_nothing(bench: Bench) -> None:
    await bench.open(2)
    assert [await bench.start(0) for _ in range(3)] == ["run", "running", "running"]
    assert await bench.start(1) == "run"
    await bench.settle(0)
    assert await bench.start(0) == "settled"
    assert await bench.start(0, attempt=1) == "settled"


async def test_later_attempt_supersedes_an_earlier_one(bench: Bench) -> None:
    await bench.open(1)
    assert await bench.start(0, attempt=1) == "run"
    assert await bench.start(0, attempt=0) == "running"
    assert await bench.start(0, attempt=2) == "run"
    assert await bench.start(0, attempt=1) == "running"


async def test_run_may_begin_again_after_its_lease_or_failure(bench: Bench) -> None:
    await bench.open(2)
    assert [await bench.start(0, lease=0) for _ in range(2)] == ["run", "run"]
    assert await bench.start(1) == "run"
    await bench.fail(1)
    assert await bench.start(1) == "run"


async def test_failure_of_another_attempt_leaves_the_run_alone(bench: Bench) -> None:
    await bench.open(1)
    assert await bench.start(0, attempt=1) == "run"
    await bench.fail(0, attempt=0)
    assert await bench.start(0, attempt=1) == "running"


async def test_run_that_never_settles_is_released_again_at_the_end_of_its_lease(bench: Bench) -> None:
    await bench.open(2)
    await bench.start(0, lease=60)
    await bench.start(0)
    assert await bench.due() == {"l:0": 60.0}
    assert (await bench.repair()).release == ()
    await bench.age_duty("l:0")
    repairs = await bench.repair()
    assert (repairs.release, repairs.lost) == (((0, 1),), 1)
    assert await bench.due() == {}
    assert (await bench.fields())["retried"] == "1"


async def test_duty_to_look_for_a_run_goes_with_its_settle(bench: Bench) -> None:
    await bench.open(2)
    await bench.start(0)
    await bench.start(0)
    await bench.settle(0)
    assert await bench.due() == {}
    assert await bench.redis.hgetall(bench.key("attempts")) == {}


async def test_task_that_waits_to_run_again_is_not_released_twice(bench: Bench) -> None:
    await bench.open(2)
    await bench.start(0)
    await bench.start(0)
    await bench.defer([0], 0)
    await bench.age_duty("l:0")
    assert (await bench.repair()).release == ((0, 0),)
    assert (await bench.repair()).release == ()


async def test_closing_batch_starts_nothing_and_leaves_a_run_alone(bench: Bench) -> None:
    await bench.open(2)
    await bench.start(0)
    await bench.ledger.control.cancel(bench.name)
    assert await bench.start(0) == "running"
    assert await bench.start(1) == "closed"
    assert await bench.due() == {}


@pytest.mark.parametrize("generation", [1, 2])
async def test_message_of_another_generation_is_closed(bench: Bench, generation: int) -> None:
    await bench.open(1)
    assert await bench.start(0, generation=generation) == "closed"


async def test_message_without_a_ledger_is_unknown(bench: Bench) -> None:
    assert await bench.start(0) == "unknown"
