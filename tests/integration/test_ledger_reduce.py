"""lease and finish: one reduce at a time, and its heir knows what it left."""

import pytest

from tests.integration.bench import Bench


async def reducing(bench: Bench) -> None:
    await bench.open(2)
    await bench.settle(0)
    await bench.settle(1)


async def test_the_reduce_is_leased_with_the_segments_that_are_not_written_yet(bench: Bench) -> None:
    await bench.open(3, items=3000)
    await bench.settle(0, succeeded=1000)
    await bench.settle(1, succeeded=1000)
    await bench.settle(2, succeeded=1000)
    await bench.segment_written(1, generation=0)
    lease = await bench.ledger.lease(bench.name, "first", 0)
    assert lease.verdict == "leased"
    assert sorted(lease.segments) == [0, 2]
    assert (await bench.due())["r"] == 30.0


async def test_held_by_another_the_lease_is_refused_and_its_owner_renews_it(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("first")
    await bench.age(lease_until=20)
    await bench.age_duty("r", 10)
    before = await bench.dump()
    assert (await bench.ledger.lease(bench.name, "second", 0)).verdict == "held"
    assert await bench.dump() == before
    assert (await bench.ledger.lease(bench.name, "first", 0)).verdict == "leased"
    assert (await bench.due())["r"] == 30.0


async def test_an_expired_lease_is_taken_over(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("dead")
    await bench.age(lease_until=-1)
    assert (await bench.ledger.lease(bench.name, "heir", 0)).verdict == "leased"
    assert (await bench.ledger.lease(bench.name, "dead", 0)).verdict == "held"
    assert await bench.ledger.finish(bench.name, "dead", 0, 0, 0) == ""
    assert await bench.ledger.finish(bench.name, "heir", 0, 0, 0) == "done"


async def test_nothing_is_leased_before_the_reduce_or_for_another_generation(bench: Bench) -> None:
    await bench.open(1)
    assert (await bench.ledger.lease(bench.name, "early", 0)).verdict == "closed"
    await bench.settle(0)
    assert (await bench.ledger.lease(bench.name, "wrong", 1)).verdict == "closed"
    assert "lease_until" in await bench.fields()
    assert (await bench.ledger.lease(bench.name, "right", 0)).verdict == "leased"


async def test_finished_a_batch_keeps_what_it_counted_and_nothing_else(bench: Bench) -> None:
    await reducing(bench)
    await bench.segment_written(0, generation=0)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, 7, 3) == "done"
    fields = await bench.fields()
    counts = [fields[name] for name in ("state", "succeeded", "failed", "settled", "owner")]
    assert counts == ["done", "7", "3", "2", ""]
    assert list(await bench.dump()) == ["hash", bench.key("series")]
    (expiry,) = await bench.expiries()
    assert 6 * 86400 < expiry - await bench.now() <= 7 * 86400 + 1


async def test_a_cancelled_batch_ends_as_cancelled_with_the_tasks_it_settled(bench: Bench) -> None:
    await bench.open(5, window=2)
    await bench.ledger.control.cancel(bench.name)
    await bench.settle(0)
    await bench.skip(1)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, 0, 0) == "cancelled"
    assert (await bench.fields())["settled"] == "2"


async def test_a_batch_ends_once_and_stays_as_it_is(bench: Bench) -> None:
    await reducing(bench)
    assert await bench.ledger.finish(bench.name, "reducer", 0, 0, 0) == ""
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 1, 0, 0) == ""
    assert await bench.ledger.finish(bench.name, "reducer", 0, 0, 0) == "done"
    before = await bench.dump()
    assert await bench.ledger.finish(bench.name, "", 1, 0, 0) == ""
    assert await bench.ledger.finish(bench.name, "reducer", 0, 1, 1) == "done"
    assert (await bench.ledger.lease(bench.name, "late", 0)).verdict == "closed"
    assert await bench.ledger.control.cancel(bench.name) == ("done", 0, None, False)
    assert (await bench.settle(0)).verdict == "closed"
    assert await bench.claim() == "exists"
    assert await bench.dump() == before


async def test_an_ended_batch_asks_the_sweep_for_nothing(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce()
    await bench.ledger.finish(bench.name, "reducer", 0, 0, 0)
    repairs = await bench.repair()
    assert (repairs.state, repairs.release, repairs.segments, repairs.reduce) == ("done", (), (), False)


@pytest.mark.parametrize("made", ["running", "done"])
async def test_only_an_opening_or_a_reduce_has_trouble(bench: Bench, made: str) -> None:
    await bench.open(1)
    if made == "done":
        await bench.settle(0)
        await bench.segment_written(0)
        await bench.reduce()
        await bench.ledger.explain(bench.name, "S3 was away")
        assert (await bench.fields())["trouble"] == "S3 was away"
        await bench.ledger.finish(bench.name, "reducer", 0, 1, 0)
    assert await bench.state() == made
    await bench.ledger.explain(bench.name, "S3 was away")
    assert "trouble" not in await bench.fields()


async def test_another_end_than_the_one_that_was_seen_is_not_redriven(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1)
    await bench.segment_written(0)
    await bench.reduce()
    await bench.ledger.finish(bench.name, "reducer", 0, 0, 1)
    before = await bench.dump()
    assert (await bench.ledger.control.redrive(bench.name, "1")).verdict != "redriven"
    assert await bench.dump() == before
    seen = await bench.repair()
    assert (seen.state, seen.ended) == ("done", (await bench.fields())["ended"])
    assert (await bench.ledger.control.redrive(bench.name, seen.ended)).verdict == "redriven"
