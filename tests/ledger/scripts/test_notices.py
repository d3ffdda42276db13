"""The notices of an end: one replica leases a try, and a stale record changes nothing."""

import pytest

from pipeline.ledger.arguments import Published
from pipeline.ledger.notices import DeliveryResult, EndId, Verdict
from pipeline.ledger.replies import Repairs
from tests.rigs.redis.ledger_bench import Bench, submission
from tests.rigs.redis.ledger_states import Made, deleting

LEASE, PATIENCE = 60.0, 86_400.0


async def ended(bench: Bench, *, targets: int = 2, reduces: bool = False) -> EndId:
    """End an empty batch that has so many targets."""
    made = submission(targets=targets, reduces=reduces)
    assert (await bench.ledger.claim(bench.name, "opener", made)).verdict == "claimed"
    assert (await bench.begin(tasks=0))[0] == "reducing"
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0)) == "done"
    found = await bench.ledger.notices.read(bench.name)
    assert found.end is not None
    return found.end


async def attempt(bench: Bench, end: EndId, target: int = 0) -> int:
    return await bench.ledger.notices.start_delivery(bench.name, end, target, LEASE)


async def record(
    bench: Bench,
    end: EndId,
    number: int,
    verdict: Verdict,
    target: int = 0,
    *,
    status: int = 200,
) -> tuple[str, tuple[int, ...]]:
    tried = DeliveryResult(number, verdict, status, 100, PATIENCE)
    return await bench.ledger.notices.record_delivery(bench.name, end, target, tried)


async def notices(bench: Bench) -> list[tuple[str, int, int]]:
    """State, tries and status of each target."""
    found = (notice.split() for notice in (await bench.ledger.notices.read(bench.name)).targets)
    return [(state, int(tries), int(status)) for state, tries, status, *_ in found]


async def test_all_notices_are_due_at_the_end_and_each_try_is_leased_once(bench: Bench) -> None:
    end = await ended(bench)
    assert await bench.due() == {"n:0": 0, "n:1": 0}
    assert [await attempt(bench, end), await attempt(bench, end), await attempt(bench, end, 1)] == [1, 0, 1]
    assert await bench.due() == {"n:0": LEASE, "n:1": LEASE}
    assert (await bench.repair()).notify == ()
    await bench.age_duty("n:1")
    repairs = await bench.repair()
    assert (repairs.state, repairs.notify, repairs.waiting) == ("done", (1,), True)
    # A sweep leases nothing: the replica that makes the try does.
    assert (await bench.repair()).notify == (1,)


async def test_refused_notice_is_due_again_and_delivered_notice_is_done(bench: Bench) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    assert await record(bench, end, 1, "refused", status=503) == ("due", ())
    assert await bench.due() == {"n:0": 100, "n:1": 0}
    await bench.age_duty("n:0")
    assert await attempt(bench, end) == 2
    assert await record(bench, end, 2, "delivered") == ("delivered", ())
    assert await notices(bench) == [("delivered", 2, 200), ("due", 0, 0)]
    assert await attempt(bench, end) == 0


@pytest.mark.parametrize("verdict", ["delivered", "refused", "undelivered"])
async def test_record_after_a_delivery_is_stale(bench: Bench, verdict: Verdict) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    await record(bench, end, 1, "delivered")
    before = await bench.dump()
    assert await record(bench, end, 1, verdict, status=500) == ("stale", ())
    assert await bench.dump() == before


@pytest.mark.parametrize("verdict", ["refused", "undelivered"])
async def test_record_after_the_lease_counts_only_if_delivered(bench: Bench, verdict: Verdict) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    await bench.age_duty("n:0")
    assert await attempt(bench, end) == 2
    before = await bench.dump()
    assert await record(bench, end, 1, verdict, status=500) == ("stale", ())
    assert await bench.dump() == before
    assert await record(bench, end, 1, "delivered") == ("delivered", ())


async def test_notify_targets_follow_the_reduce_target_however_it_ends(bench: Bench) -> None:
    for verdict in ("delivered", "undelivered"):
        end = await ended(bench, targets=3, reduces=True)
        assert await bench.due() == {"n:0": 0}
        assert await attempt(bench, end, 1) == 0
        await attempt(bench, end)
        assert await record(bench, end, 1, verdict) == (verdict, (1, 2))
        assert await bench.due() == {"n:1": 0, "n:2": 0}
        await bench.ledger.control.delete(bench.name, "deleter")
        assert await bench.ledger.control.forget(bench.name, "deleter")


async def test_attempt_for_another_end_is_refused(bench: Bench) -> None:
    end = await ended(bench)
    await attempt(bench, end)
    before = await bench.dump()
    for other in (end._replace(epoch="0"), end._replace(generation=1), end._replace(ended=end.ended + 1)):
        assert await attempt(bench, other, 1) == 0
        assert await record(bench, other, 1, "delivered") == ("stale", ())
    assert await bench.dump() == before


@pytest.mark.parametrize("state", [deleting])
async def test_batch_that_has_not_ended_has_no_notices(bench: Bench, state: Made) -> None:
    await state(bench)
    found = await bench.ledger.notices.read(bench.name)
    assert (found.end, found.due) == (None, ())
    assert await attempt(bench, EndId("0", 0, 0)) == 0


async def test_lost_notices_are_recalled_once_and_dropped_by_a_new_claim(bench: Bench) -> None:
    end = await ended(bench, reduces=True)
    described = [
        {"kind": "reduce", "state": "due", "tries": 3, "status_code": 500, "at": 7.5},
        {"kind": "notify", "state": "due", "tries": 0, "status_code": None, "at": None},
    ]
    await bench.redis.flushall()
    for _ in range(2):
        await bench.ledger.notices.restore(bench.name, end, described)
    assert await bench.repair() == Repairs("gone", (0,), waiting=True)
    assert await notices(bench) == [("due", 3, 500), ("held", 0, 0)]
    assert await attempt(bench, end) == 4
    # Notices of the same end are not recalled again, whatever S3 still says.
    await bench.ledger.notices.restore(bench.name, end, described)
    assert await notices(bench) == [("due", 4, 500), ("held", 0, 0)]
    assert await record(bench, end, 4, "delivered") == ("delivered", (1,))
    assert await bench.expiries() != {-1}
    await bench.claim()
    assert await attempt(bench, end, 1) == 0
    await bench.begin(tasks=1)
    assert (await bench.ledger.notices.read(bench.name)).end is None
    assert await bench.due() == {"w": 30}
