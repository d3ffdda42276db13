"""fail, defer, confirm and extend, also for a task that has settled or failed in the meantime."""

import pytest

from tests.rigs.redis.ledger_bench import SILENCE, Bench


async def test_failed_task_is_retried_after_its_backoff(bench: Bench) -> None:
    await bench.open(2)
    assert await bench.fail(0, backoff=60) == "retry"
    assert await bench.due() == {"t:0": 60.0}
    assert await bench.in_flight() == [1]
    assert (await bench.fields())["retried"] == "1"
    assert (await bench.repair()).release == ()
    await bench.age_duty("t:0")
    assert (await bench.repair()).release == ((0, 1),)
    assert await bench.in_flight() == [0, 1]
    assert await bench.due() == {}


async def test_last_attempt_is_exhausted_and_stays_in_flight_until_settled(bench: Bench) -> None:
    await bench.open(1)
    for attempt in range(2):
        assert await bench.fail(0, attempt) == "retry"
        await bench.age_duty("t:0")
        assert (await bench.repair()).release == ((0, attempt + 1),)
    assert await bench.fail(0, 2) == "exhausted"
    assert await bench.in_flight() == [0]
    assert await bench.due() == {}
    assert (await bench.fields())["retried"] == "2"
    assert await bench.fail(0, 2) == "exhausted"
    assert (await bench.settle(0, 2, succeeded=0, failed=1)).reduce is True


@pytest.mark.parametrize("attempt", [0, 2])
async def test_fail_of_another_attempt_is_stale(bench: Bench, attempt: int) -> None:
    await bench.open(2)
    await bench.fail(0)
    before = await bench.dump()
    assert await bench.fail(0, attempt) == "stale"
    assert await bench.dump() == before


async def test_fail_of_a_settled_task_is_a_duplicate(bench: Bench) -> None:
    await bench.open(2)
    await bench.settle(0)
    before = await bench.dump()
    assert await bench.fail(0) == "duplicate"
    assert await bench.dump() == before


async def test_fail_in_another_generation_or_after_the_end_is_closed(bench: Bench) -> None:
    await bench.open(1)
    assert await bench.fail(0, generation=1) == "closed"
    await bench.settle(0)
    before = await bench.dump()
    assert await bench.fail(0) == "closed"
    assert await bench.dump() == before


async def test_fail_in_a_closing_batch_is_a_skip(bench: Bench) -> None:
    await bench.open(1)
    await bench.ledger.control.cancel(bench.name)
    before = await bench.dump()
    assert await bench.fail(0) == "skip"
    assert await bench.dump() == before


async def test_fail_updates_the_newest_heard_release(bench: Bench) -> None:
    await bench.open(2)
    await bench.age()
    sent = await bench.release_time(1)
    await bench.fail(1)
    fields = await bench.fields()
    assert int(fields["heard"]) == sent
    assert abs(int(fields["heard_at"]) / 1e6 - await bench.now()) < 60


async def test_refused_release_stays_due(bench: Bench) -> None:
    await bench.open(3)
    await bench.defer([0, 2], 40, generation=0)
    assert await bench.due() == {"t:0": 40.0, "t:2": 40.0}
    assert await bench.in_flight() == [1]
    await bench.age_duty("t:2")
    assert (await bench.repair()).release == ((2, 0),)


async def test_defer_of_a_settled_task_adds_no_duty(bench: Bench) -> None:
    await bench.open(2)
    await bench.settle(0)
    await bench.defer([0], 40, generation=0)
    assert await bench.due() == {}
    assert await bench.in_flight() == [1]


async def test_defer_of_a_failed_task_releases_its_next_attempt_once(bench: Bench) -> None:
    await bench.open(1)
    await bench.fail(0, backoff=90)
    await bench.defer([0], 40, generation=0)
    assert await bench.due() == {"t:0": 40.0}
    await bench.age_duty("t:0")
    assert (await bench.repair()).release == ((0, 1),)


async def test_defer_in_another_generation_changes_nothing(bench: Bench) -> None:
    await bench.open(1)
    before = await bench.dump()
    await bench.defer([0], 40, generation=1)
    assert await bench.dump() == before


async def test_defer_in_a_closing_batch_drops_the_task(bench: Bench) -> None:
    await bench.open(1)
    await bench.ledger.control.cancel(bench.name)
    await bench.defer([0], 40, generation=0)
    assert await bench.due() == {}
    repairs = await bench.repair()
    assert (repairs.state, repairs.reduce) == ("reducing", True)


async def test_defer_after_the_end_changes_nothing(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0)
    before = await bench.dump()
    await bench.defer([0], 40, generation=0)
    assert await bench.dump() == before


async def test_first_window_may_settle_before_it_is_confirmed(bench: Bench) -> None:
    await bench.claim(window=2)
    await bench.begin(tasks=3)
    await bench.settle(0)
    await bench.settle(1)
    await bench.confirm(0)
    assert await bench.due() == {}
    assert await bench.in_flight() == [2]


async def test_failure_that_does_not_count_never_exhausts_a_task(bench: Bench) -> None:
    await bench.open(1)
    for attempt in range(5):
        assert await bench.fail(0, attempt, attempts=0) == "retry"
        await bench.age_duty("t:0")
        assert (await bench.repair()).release == ((0, attempt + 1),)
    assert await bench.attempts() == {"0": 5}


async def test_extended_task_keeps_its_place_and_is_not_lost_after_a_silence(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.age_releases(t0=-500, t1=-400)
    placed = await bench.release_time(0)
    await bench.age()
    await bench.ledger.extend(await bench.current(0))
    (expiry,) = await bench.expiries()
    assert expiry == int((await bench.fields())["expire_at"])
    assert await bench.release_time(0) == placed
    assert abs(int((await bench.fields())["heard_at"]) / 1e6 - await bench.now()) < 60
    await bench.settle(1)
    heard = (await bench.fields())["heard"]
    await bench.age(mark=int(heard) / 1e6 - await bench.now(), mark_at=-SILENCE - 1)
    assert (await bench.repair()).release == ()
    extended = int((await bench.now() - SILENCE - 1) * 1e6)
    await bench.redis.hset(bench.key("attempts"), "x:0", str(extended))
    await bench.age(mark_at=-SILENCE - 1)
    assert (await bench.repair()).release == ((0, 1),)


async def test_extend_of_a_task_not_in_flight_changes_nothing(bench: Bench) -> None:
    await bench.open(1, window=1)
    before = await bench.dump()
    await bench.ledger.extend(await bench.current(0, generation=1))
    await bench.ledger.extend(await bench.current(7))
    assert await bench.dump() == before
    await bench.settle(0)
    await bench.ledger.extend(await bench.current(0))
    assert await bench.in_flight() == []
