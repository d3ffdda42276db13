"""The notices of an end in the ledger: a try is one replica's, and its record counts only where it is news."""

import pytest

from pipeline.ledger.ledger import End
from pipeline.ledger.notices import Ending, Tried, Verdict
from pipeline.ledger.replies import Repairs
from tests.rigs.redis.ledger_bench import Bench, submission
from tests.rigs.redis.ledger_states import Made, deleting

LEASE, PATIENCE = 60.0, 86_400.0


async def ended(bench: Bench, *, targets: int = 2, reduces: bool = False) -> Ending:
    """An empty batch has ended, and so many are told."""
    made = submission(targets=targets, reduces=reduces)
    assert (await bench.ledger.claim(bench.name, "opener", made)).verdict == "claimed"
    assert (await bench.begin(tasks=0))[0] == "reducing"
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, End(0, 0)) == "done"
    found = await bench.ledger.notices.read(bench.name)
    assert found.end is not None
    return found.end


async def attempt(bench: Bench, end: Ending, target: int = 0) -> int:
    return await bench.ledger.notices.attempt(bench.name, end, target, LEASE)


async def record(
    bench: Bench,
    end: Ending,
    number: int,
    verdict: Verdict,
    target: int = 0,
    *,
    status: int = 200,
) -> tuple[str, tuple[int, ...]]:
    tried = Tried(number, verdict, status, 100, PATIENCE)
    return await bench.ledger.notices.attempted(bench.name, end, target, tried)


async def kept(bench: Bench) -> list[tuple[str, int, int]]:
    """State, tries and status of each target."""
    found = (each.split() for each in (await bench.ledger.notices.read(bench.name)).kept)
    return [(state, int(tries), int(status)) for state, tries, status, *_ in found]


async def test_all_are_due_at_the_end_and_each_try_is_taken_once(bench: Bench) -> None:
    end = await ended(bench)
    assert await bench.due() == {"n:0": 0, "n:1": 0}
    assert [await attempt(bench, end), await attempt(bench, end), await attempt(bench, end, 1)] == [1, 0, 1]
    assert await bench.due() == {"n:0": LEASE, "n:1": LEASE}
    assert (await bench.repair()).notify == ()
    await bench.age_duty("n:1")
    repairs = await bench.repair()
    assert (repairs.state, repairs.notify, repairs.waiting) == ("done", (1,), True)
    # A sweep leases nothing: whoever makes the try does.
    assert (await bench.repair()).notify == (1,)


async def test_what_is_refused_is_due_again_and_what_is_delivered_is_over(bench: Bench) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    assert await record(bench, end, 1, "refused", status=503) == ("due", ())
    assert await bench.due() == {"n:0": 100, "n:1": 0}
    await bench.age_duty("n:0")
    assert await attempt(bench, end) == 2
    assert await record(bench, end, 2, "delivered") == ("delivered", ())
    assert await kept(bench) == [("delivered", 2, 200), ("due", 0, 0)]
    assert await attempt(bench, end) == 0


@pytest.mark.parametrize("verdict", ["delivered", "refused", "undelivered"])
async def test_who_is_told_already_is_told_whatever_a_late_try_came_to(bench: Bench, verdict: Verdict) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    await record(bench, end, 1, "delivered")
    before = await bench.dump()
    assert await record(bench, end, 1, verdict, status=500) == ("stale", ())
    assert await bench.dump() == before


@pytest.mark.parametrize("verdict", ["refused", "undelivered"])
async def test_a_try_that_outlived_its_lease_ends_nothing_but_by_delivering(bench: Bench, verdict: Verdict) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    await bench.age_duty("n:0")
    assert await attempt(bench, end) == 2
    before = await bench.dump()
    assert await record(bench, end, 1, verdict, status=500) == ("stale", ())
    assert await bench.dump() == before
    assert await record(bench, end, 1, "delivered") == ("delivered", ())


async def test_the_others_follow_the_one_that_reduces_however_it_ends(bench: Bench) -> None:
    for verdict in ("delivered", "undelivered"):
        end = await ended(bench, targets=3, reduces=True)
        assert await bench.due() == {"n:0": 0}
        assert await attempt(bench, end, 1) == 0
        await attempt(bench, end)
        assert await record(bench, end, 1, verdict) == (verdict, (1, 2))
        assert await bench.due() == {"n:1": 0, "n:2": 0}
        await bench.ledger.control.delete(bench.name, "deleter")
        assert await bench.ledger.control.forget(bench.name, "deleter")


async def test_of_another_end_nothing_is_taken_or_recorded(bench: Bench) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    before = await bench.dump()
    for other in (end._replace(epoch="0"), end._replace(generation=1), end._replace(ended=end.ended + 1)):
        assert await attempt(bench, other, 1) == 0
        assert await record(bench, other, 1, "delivered") == ("stale", ())
    assert await bench.dump() == before


@pytest.mark.parametrize("state", [deleting])
async def test_of_a_batch_that_has_not_ended_nothing_is_told(bench: Bench, state: Made) -> None:
    await state(bench)
    found = await bench.ledger.notices.read(bench.name)
    assert (found.end, found.due) == (None, ())
    assert await attempt(bench, Ending("0", 0, 0)) == 0


async def test_what_redis_has_lost_is_recalled_once_and_ends_with_a_new_life(bench: Bench) -> None:
    end = await ended(bench, reduces=True)
    described = [
        {"kind": "reduce", "state": "due", "tries": 3, "status_code": 500, "at": 7.5},
        {"kind": "notify", "state": "due", "tries": 0, "status_code": None, "at": None},
    ]
    await bench.redis.flushall()
    for _ in range(2):
        await bench.ledger.notices.recall(bench.name, end, described)
    assert await bench.repair() == Repairs("gone", (0,), waiting=True)
    assert await kept(bench) == [("due", 3, 500), ("held", 0, 0)]
    assert await attempt(bench, end) == 4
    # Of the same end nothing is recalled anew, whatever S3 still says.
    await bench.ledger.notices.recall(bench.name, end, described)
    assert await kept(bench) == [("due", 4, 500), ("held", 0, 0)]
    assert await record(bench, end, 4, "delivered") == ("delivered", (1,))
    assert await bench.expiries() != {-1}
    await bench.claim()
    assert await attempt(bench, end, 1) == 0
    await bench.begin(tasks=1)
    assert (await bench.ledger.notices.read(bench.name)).end is None
    assert await bench.due() == {"w": 30}
