"""Redis' clock is set back by two minutes, or a failover leads to a node whose clock is behind."""

import time

import pytest

from pipeline.ledger.arguments import Published
from pipeline.ledger.notices import DeliveryResult, EndId
from pipeline.ledger.scripts import LEDGER_TTL
from tests.rigs.redis.clock_steps import set_clock_back
from tests.rigs.redis.ledger_bench import Bench, submission

STEP = 120.0


async def test_reduce_of_a_dead_owner_is_taken_over_at_once(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0)
    await bench.reduce("dead")
    await set_clock_back(bench, STEP)
    repairs = await bench.repair()
    assert (repairs.reduce, repairs.segments) == (True, (0,))
    await bench.reduce("heir")
    assert (await bench.ledger.lease_reduce(bench.name, "dead", 0, renewal=True)).verdict == "lost"


async def test_live_owner_renews_its_lease_after_a_step(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0)
    await bench.reduce("owner")
    await set_clock_back(bench, STEP)
    assert (await bench.ledger.lease_reduce(bench.name, "owner", 0, renewal=True)).verdict == "leased"
    assert (await bench.ledger.lease_reduce(bench.name, "another", 0)).verdict == "held"
    assert (await bench.due())["r"] == 30


@pytest.mark.parametrize("last_step", ["claim", "abandon"])
async def test_claim_of_a_dead_owner_is_free_at_once(bench: Bench, last_step: str) -> None:
    await bench.claim("dead")
    await set_clock_back(bench, STEP)
    assert (await bench.repair()).open is True
    if last_step == "claim":
        assert await bench.claim("heir", queued=True) == "claimed"
    else:
        assert await bench.ledger.abandon(bench.name, "", "no such input") is True


async def test_deletion_of_a_dead_owner_is_resumed_at_once(bench: Bench) -> None:
    await bench.ledger.control.delete(bench.name, "dead")
    await set_clock_back(bench, STEP)
    assert (await bench.repair()).delete is True
    assert (await bench.ledger.control.delete(bench.name, "heir", go_on=True)).verdict == "leased"


async def test_repair_does_not_wait_for_the_old_time(bench: Bench) -> None:
    await bench.open(2)
    assert (await bench.repair(shortest=60)).state == "running"
    assert (await bench.repair(shortest=60)).state == ""
    await set_clock_back(bench, STEP)
    assert (await bench.repair(shortest=60)).state == "running"
    assert (await bench.repair(shortest=60)).state == ""


async def test_tasks_are_released_again_no_later_than_without_the_step(bench: Bench) -> None:
    await bench.open(3)
    assert await bench.fail(0, backoff=50) == "retry"
    await bench.defer([1], 2)
    await set_clock_back(bench, STEP)
    assert sorted((await bench.repair()).release) == [(0, 1), (1, 0)]


async def test_unconfirmed_window_is_released_again_at_once(bench: Bench) -> None:
    await bench.claim()
    await bench.begin(tasks=2)
    await set_clock_back(bench, STEP)
    assert sorted((await bench.repair()).release) == [(0, 1), (1, 1)]


async def test_delayed_generation_begins_no_later(bench: Bench) -> None:
    await bench.claim()
    await bench.begin(tasks=2, delay=30)
    await set_clock_back(bench, STEP)
    fields = [await bench.fields()]
    await bench.repair()
    fields.append(await bench.fields())
    for name, wait in (("not_before", 30), ("deadline_at", 3600)):
        assert 0 <= int(fields[1][name]) / 1e6 - await bench.now() <= wait


async def test_silence_counts_from_the_step_on(bench: Bench) -> None:
    await bench.open(2)
    await set_clock_back(bench, STEP)
    assert (await bench.repair()).release == ()
    await bench.age(-100)
    await bench.age_releases(t0=-100, t1=-100)
    assert len((await bench.repair()).release) == 1


async def test_task_released_after_the_step_is_not_lost_for_one_that_was_before(bench: Bench) -> None:
    """An answer to a task of the old time says nothing about tasks of the new time."""
    await bench.open(3, window=2)
    await bench.settle(0)
    await set_clock_back(bench, STEP)
    await bench.repair()
    await bench.age(mark_at=-100)
    assert (await bench.repair()).lost == 0
    await bench.settle(1)
    await bench.age(mark_at=-100)
    assert (await bench.repair()).lost == 0


async def test_run_of_a_dead_replica_is_looked_at_again(bench: Bench) -> None:
    await bench.open(2)
    assert await bench.start(0) == "run"
    assert await bench.start(0) == "running"
    await set_clock_back(bench, STEP)
    assert (await bench.repair()).release == ((0, 1),)


async def test_calls_keep_their_rate_and_wait_no_longer(bench: Bench) -> None:
    await bench.open(4)
    await bench.write(rate="0.5")
    waits = [await bench.ledger.reserve_call(bench.name, 60) for _ in range(2)]
    await set_clock_back(bench, STEP)
    waits += [await bench.ledger.reserve_call(bench.name, 60) for _ in range(2)]
    assert [round(wait or 0) for wait in waits] == [0, 2, 4, 6]


async def test_turn_that_was_refused_after_the_step_comes_in_time(bench: Bench) -> None:
    await bench.open(4)
    await bench.write(rate="0.5")
    for _ in range(3):
        await bench.ledger.reserve_call(bench.name, 60)
    await set_clock_back(bench, STEP)
    assert await bench.ledger.reserve_call(bench.name, 3) is None
    await bench.age(called_at=5, asked_at=-1)
    assert round(await bench.ledger.reserve_call(bench.name, 60) or 0) == 5


async def test_releases_keep_their_rate_and_wait_no_longer(bench: Bench) -> None:
    await bench.claim(window=8)
    await bench.write(rate="1")
    _, released = await bench.begin(tasks=20)
    await bench.confirm()
    assert released == [0, 1]
    await set_clock_back(bench, STEP)
    assert (await bench.repair()).release == ((2, 0), (3, 0))
    assert (await bench.repair()).release == ()


async def test_new_generation_forgets_the_turns_of_the_old_one(bench: Bench) -> None:
    await bench.open(1)
    await bench.write(rate="1")
    await bench.ledger.reserve_call(bench.name, 60)
    await bench.settle(0, succeeded=0, failed=1, retryable=1)
    await bench.reduce()
    await bench.begin(1, tasks=1, owner="reducer", again=1)
    assert {"called_at", "asked_at"}.isdisjoint(await bench.fields())


@pytest.mark.parametrize("is_wiped", [False, True], ids=["with its ledger", "without"])
async def test_refused_notification_is_due_no_later(bench: Bench, *, is_wiped: bool) -> None:
    made = submission(targets=1)
    await bench.ledger.claim(bench.name, "opener", made)
    await bench.begin(tasks=1)
    await bench.settle(0)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(1, 0)) == "done"
    notices = bench.ledger.notices
    end = (await notices.read(bench.name)).end
    assert isinstance(end, EndId)
    number = await notices.start_delivery(bench.name, end, 0, 60)
    await notices.record_delivery(bench.name, end, 0, DeliveryResult(number, "refused", 500, 50, 1000))
    await set_clock_back(bench, STEP)
    if is_wiped:
        await bench.redis.delete(bench.key())
        # As notices that are recreated.
        await bench._await(bench.redis.hset(bench.key("notices"), "expire_at", str(int(await bench.now()) + 1000)))
    assert (await bench.repair()).notify == (0,)
    assert await notices.start_delivery(bench.name, end, 0, 60) == 2
    assert (await bench.repair()).notify == ()


async def test_keys_expire_by_the_clock_of_redis_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a replica may be wrong by more than the keys live."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    made = submission(targets=1)
    await bench.ledger.claim(bench.name, "opener", made)
    soon = await bench.now() + LEDGER_TTL + made.spec.deadline
    assert await bench.expiries() <= {int(soon), int(soon) + 1, int(soon) + 2}
    await bench.begin(tasks=1)
    await bench.settle(0)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(1, 0)) == "done"
    (expiry,) = await bench.expiries()
    assert expiry - await bench.now() == pytest.approx(LEDGER_TTL, abs=60)
    await bench.ledger.control.delete(bench.name, "deleter")
    (expiry,) = await bench.expiries()
    assert expiry - await bench.now() == pytest.approx(LEDGER_TTL, abs=60)
