"""repair: an overdue duty is taken over once."""

import asyncio

import pytest

from pipeline.ledger.states import SETTLING
from tests.rigs.redis.ledger_bench import SILENCE, Bench


async def test_healthy_batch_needs_no_repair(bench: Bench) -> None:
    await bench.open(5, window=2)
    repairs = await bench.repair()
    assert (repairs.state, repairs.generation, repairs.function) == ("running", 0, "model")
    assert (repairs.release, repairs.segments, repairs.exhausted) == ((), (), ())
    assert (repairs.open, repairs.reduce) == (False, False)


async def test_only_one_of_two_concurrent_sweeps_repairs(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.defer([0], 0, generation=0)
    both = await asyncio.gather(bench.repair(shortest=30), bench.repair(shortest=30))
    assert sorted((repairs.state, len(repairs.release)) for repairs in both) == [("", 0), ("running", 1)]
    await bench.age(swept_at=-31)
    assert (await bench.repair(shortest=30)).state == "running"


@pytest.mark.parametrize("duty", ["s:0", "r"])
async def test_overdue_duty_is_returned_once_a_lease(bench: Bench, duty: str) -> None:
    await bench.open(1)
    await bench.settle(0)
    assert (await bench.repair()).segments == ()
    await bench.age_duty(duty)
    repairs = await bench.repair()
    assert (repairs.segments, repairs.reduce) == (((0,), False) if duty == "s:0" else ((), True))
    assert await bench.due() == {"s:0": 30.0, "r": 30.0}
    again = await bench.repair()
    assert (again.segments, again.reduce) == ((), False)


async def test_overdue_opening_is_returned_once_a_lease(bench: Bench) -> None:
    await bench.claim()
    assert (await bench.repair()).open is False
    await bench.age_duty("o")
    repairs = await bench.repair()
    assert (repairs.state, repairs.open, repairs.reduce) == ("opening", True, False)
    assert await bench.due() == {"o": 30.0}
    assert (await bench.repair()).open is False


async def test_unconfirmed_first_window_is_released_again(bench: Bench) -> None:
    await bench.claim(window=2)
    await bench.begin(tasks=5)
    await bench.settle(0)
    assert (await bench.repair()).release == ()
    await bench.age_releases(t1=-40)
    await bench.age(first_at=-40)
    await bench.age_duty("w")
    assert (await bench.repair()).release == ((1, 1),)
    assert await bench.due() == {}
    assert (await bench.repair()).release == ()


async def test_sweep_fills_a_shrunk_window(bench: Bench) -> None:
    await bench.open(9, window=4)
    await bench.redis.zrem(bench.key("inflight"), "0", "1", "2")
    assert (await bench.repair()).release == ((4, 0), (5, 0), (6, 0))
    assert (await bench.fields())["next"] == "7"


async def test_retries_exceed_the_window_by_a_bounded_number(bench: Bench) -> None:
    await bench.open(20, window=10)
    await bench.defer(list(range(10)), 0, generation=0)
    await bench.redis.hset(bench.key(), "window", "2")
    assert len((await bench.repair()).release) == 6
    assert len(await bench.due()) == 4


async def test_retries_exceed_the_pace_of_the_rate_by_a_bounded_number(bench: Bench) -> None:
    await bench.open(20, window=10)
    await bench.defer(list(range(10)), 0)
    await bench.write(rate="1000", ahead="0.002")
    assert len((await bench.repair()).release) == 6
    assert len(await bench.due()) == 4


async def test_due_task_that_is_in_flight_takes_no_extra_room(bench: Bench) -> None:
    await bench.open(20, window=10)
    await bench.redis.zadd(bench.key("due"), {f"t:{task}": 1 for task in range(10)})
    assert len((await bench.repair()).release) == 10


async def test_one_sweep_releases_a_bounded_number_of_retries(bench: Bench) -> None:
    await bench.open(150, window=150)
    await bench.defer(list(range(150)), 0)
    assert [len((await bench.repair()).release) for _ in range(3)] == [100, 50, 0]


async def test_duty_of_a_settled_task_is_dropped(bench: Bench) -> None:
    await bench.open(2)
    await bench.settle(0)
    await bench.redis.zadd(bench.key("due"), {"t:0": 1})
    assert (await bench.repair()).release == ()
    assert await bench.due() == {}
    assert await bench.in_flight() == [1]


async def test_duty_of_a_settled_task_is_dropped_without_a_turn_of_the_rate(bench: Bench) -> None:
    await bench.open(1)
    await bench.write(rate="1", ahead="100")
    await bench.redis.setbit(bench.key("settled"), 0, 1)
    await bench.redis.zadd(bench.key("due"), {"t:0": 1})
    await bench.age(paced_at=50)
    before = (await bench.fields())["paced_at"]
    assert (await bench.repair()).release == ()
    assert await bench.due() == {}
    assert (await bench.fields())["paced_at"] == before


@pytest.mark.parametrize("state", ["running", "paused"])
async def test_deadline_closes_the_batch(bench: Bench, state: str) -> None:
    await bench.open(5, window=2)
    await bench.redis.hset(bench.key(), "state", state)
    await bench.age(deadline_at=-1)
    assert (await bench.repair()).state == "closing"
    fields = await bench.fields()
    assert (fields["outcome"], fields["reason"]) == ("failed", "the deadline passed before every item had run")
    assert (await bench.settle(0)).release == ()
    assert (await bench.skip(1)).reduce is True


async def test_deadline_with_none_in_flight_starts_the_reduce_at_once(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.settle(0)
    for task in (1, 2):
        await bench.fail(task)
    await bench.age(deadline_at=-1)
    repairs = await bench.repair()
    assert (repairs.state, repairs.segments, repairs.reduce) == ("reducing", (0,), True)
    assert await bench.due() == {"s:0": 30.0, "r": 30.0}
    assert await bench.read_segment(0) == [b"answer"]


async def test_closing_batch_drops_silent_tasks_after_a_silence(bench: Bench) -> None:
    await bench.open(5, window=2)
    await bench.ledger.control.cancel(bench.name)
    await bench.age(closing_at=-SILENCE + 20)
    assert (await bench.repair()).state == "closing"
    await bench.age(closing_at=-SILENCE - 1)
    repairs = await bench.repair()
    assert (repairs.state, repairs.reduce, repairs.segments) == ("reducing", True, ())
    assert await bench.in_flight() == []
    assert (await bench.settle(0)).verdict == "closed"


async def test_paused_batch_releases_nothing(bench: Bench) -> None:
    await bench.open(5, window=2)
    await bench.defer([0], 0, generation=0)
    await bench.redis.hset(bench.key(), "state", "paused")
    await bench.age()
    await bench.age_releases(t1=-900)
    assert (await bench.repair()).release == ()
    assert sorted(await bench.due()) == ["t:0"]


async def test_sweep_extends_the_expiry_and_never_shortens_it(bench: Bench) -> None:
    await bench.open(1)
    late = int(await bench.now()) + 60 * 86400
    await bench.redis.hset(bench.key(), "expire_at", str(late))
    await bench.repair()
    assert await bench.expiries() == {late}
    await bench.redis.hset(bench.key(), "expire_at", str(late - 59 * 86400))
    await bench.repair()
    (expiry,) = await bench.expiries()
    assert expiry - await bench.now() > 6 * 86400


@pytest.mark.parametrize("state", ["running", "paused", "closing", "opening", "reducing", "done", "deleting"])
async def test_sweep_extends_the_expiry_only_while_tasks_may_settle(bench: Bench, state: str) -> None:
    await bench.open(2)
    soon = int(await bench.now()) + 3600
    await bench.write(state=state, expire_at=str(soon))
    await bench.age(closing_at=-1)
    assert (await bench.repair()).state == state
    (expiry,) = await bench.expiries()
    assert (expiry > soon) is (state in SETTLING)
    assert expiry == int((await bench.fields())["expire_at"])


async def test_rate_holds_retries_back_and_keeps_them_due(bench: Bench) -> None:
    await bench.open(3)
    await bench.defer([0, 1, 2], 0)
    await bench.write(rate="0.02", ahead="100")
    await bench.age(paced_at=50)
    assert (await bench.repair()).release == ()
    assert set(await bench.due()) == {"t:0", "t:1", "t:2"}
    await bench.write(rate="1")
    await bench.age(paced_at=-50)
    released = (await bench.repair()).release
    assert len(released) == 2
    assert len(await bench.due()) == 1
