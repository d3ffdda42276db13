"""lease and finish: one reduce at a time; the next owner knows which segments are missing."""

import pytest

from pipeline.ledger.arguments import Published
from tests.rigs.redis.ledger_bench import Bench


async def reducing(bench: Bench) -> None:
    await bench.open(2)
    await bench.settle(0)
    await bench.settle(1)


async def test_lease_returns_the_segments_not_written_yet(bench: Bench) -> None:
    await bench.open(3, items=3000)
    await bench.settle(0, succeeded=1000)
    await bench.settle(1, succeeded=1000)
    await bench.settle(2, succeeded=1000)
    await bench.segment_written(1, generation=0)
    lease = await bench.ledger.lease_reduce(bench.name, "first", 0)
    assert lease.verdict == "leased"
    assert sorted(lease.segments) == [0, 2]
    assert (await bench.due())["r"] == 30.0


async def test_lease_is_held_against_others_and_renewed_by_its_owner(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("first")
    await bench.age(lease_until=20)
    await bench.age_duty("r", 10)
    before = await bench.dump()
    assert (await bench.ledger.lease_reduce(bench.name, "second", 0)).verdict == "held"
    assert await bench.dump() == before
    assert (await bench.ledger.lease_reduce(bench.name, "first", 0, renewal=True)).verdict == "leased"
    assert (await bench.due())["r"] == 30.0


async def test_renewal_takes_nothing(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("stalled")
    await bench.age(lease_until=-1)
    await bench.reduce("heir")
    assert (await bench.ledger.lease_reduce(bench.name, "stalled", 0, renewal=True)).verdict == "lost"
    assert await bench.ledger.finish(bench.name, "heir", 0, Published(0, 2)) == "done"
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "redriven"
    before = await bench.dump()
    for owner in ("stalled", "heir"):
        assert (await bench.ledger.lease_reduce(bench.name, owner, 0, renewal=True)).verdict == "lost"
        assert await bench.ledger.finish(bench.name, owner, 0, Published(0, 2)) == ""
        assert (await bench.begin(1, tasks=1, owner=owner))[0] == "lost"
        await bench.ledger.note_trouble(bench.name, owner, "S3 was away", excused=True)
    assert await bench.dump() == before
    await bench.reduce("next")
    assert (await bench.begin(1, tasks=1, owner="next"))[0] == "running"


async def test_outputs_from_before_a_cancel_end_nothing(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("first")
    assert (await bench.ledger.control.cancel(bench.name)).state == "cancelled"
    assert await bench.ledger.finish(bench.name, "first", 0, Published(2, 0)) == "reducing"
    assert (await bench.due())["r"] == 0
    await bench.reduce("second")
    assert await bench.ledger.finish(bench.name, "second", 0, Published(2, 0, outcome="cancelled")) == "cancelled"


async def test_expired_lease_is_taken_over(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("dead")
    await bench.age(lease_until=-1)
    assert (await bench.ledger.lease_reduce(bench.name, "heir", 0)).verdict == "leased"
    assert (await bench.ledger.lease_reduce(bench.name, "dead", 0)).verdict == "held"
    assert await bench.ledger.finish(bench.name, "dead", 0, Published(0, 0)) == ""
    assert await bench.ledger.finish(bench.name, "heir", 0, Published(0, 0)) == "done"


@pytest.mark.parametrize(("answer", "kept"), [(None, ""), ({"rows": 3}, '{"rows":3}')])
async def test_answer_of_a_query_is_kept_as_json(answer: dict[str, int] | None, kept: str, bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("owner")
    assert await bench.ledger.finish(bench.name, "owner", 0, Published(0, 0, sql=answer)) == "done"
    assert (await bench.fields())["sql"] == kept


async def test_each_new_lease_owner_counts_as_one_begin_of_the_generation(bench: Bench) -> None:
    await reducing(bench)
    for begun, owner in enumerate(["first", "second", "third"], start=1):
        for _ in range(2):
            lease = await bench.ledger.lease_reduce(bench.name, owner, 0)
            assert (lease.verdict, lease.begun) == ("leased", begun)
        assert (await bench.ledger.lease_reduce(bench.name, "another", 0)).begun == 0
        await bench.age(lease_until=-1)
    await bench.ledger.lease_reduce(bench.name, "third", 0)
    assert (await bench.begin(1, tasks=1, owner="third"))[0] == "running"
    await bench.settle(0, generation=1)
    assert (await bench.ledger.lease_reduce(bench.name, "fourth", 1)).begun == 1


async def test_explained_failure_does_not_count_as_a_begin(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce("first")
    for owner in ("first", "first", "another", ""):
        await bench.ledger.note_trouble(bench.name, owner, "S3 was away", excused=True)
    assert (await bench.fields())["begun"] == "0"
    assert (await bench.ledger.lease_reduce(bench.name, "first", 0)).begun == 0
    await bench.age(lease_until=-1)
    assert (await bench.ledger.lease_reduce(bench.name, "second", 0)).begun == 1
    await bench.ledger.note_trouble(bench.name, "second", "the disk is full")
    assert (await bench.fields())["begun"] == "1"


async def test_outputs_and_notes_of_an_end_last_until_the_next_run(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce()
    await bench.ledger.finish(bench.name, "reducer", 0, Published(1, 1, ("report.json",), ("the table is missing",)))
    fields = await bench.fields()
    assert (fields["outputs"], fields["notes"]) == ('["report.json"]', '["the table is missing"]')
    assert {"begun", "excused"}.isdisjoint(fields)
    await bench.ledger.control.redrive(bench.name)
    assert {"outputs", "notes"}.isdisjoint(await bench.fields())


async def test_lease_before_the_reduce_or_for_another_generation_is_closed(bench: Bench) -> None:
    await bench.open(1)
    assert (await bench.ledger.lease_reduce(bench.name, "early", 0)).verdict == "closed"
    await bench.settle(0)
    assert (await bench.ledger.lease_reduce(bench.name, "wrong", 1)).verdict == "closed"
    assert "lease_until" in await bench.fields()
    assert (await bench.ledger.lease_reduce(bench.name, "right", 0)).verdict == "leased"


async def test_finished_batch_keeps_only_its_counts(bench: Bench) -> None:
    await reducing(bench)
    await bench.segment_written(0, generation=0)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(7, 3)) == "done"
    fields = await bench.fields()
    counts = [fields[name] for name in ("state", "succeeded", "failed", "settled", "owner")]
    assert counts == ["done", "7", "3", "2", "reducer"]
    assert list(await bench.dump()) == ["hash", bench.key("series")]
    (expiry,) = await bench.expiries()
    assert 6 * 86400 < expiry - await bench.now() <= 7 * 86400 + 1


async def test_cancelled_batch_ends_cancelled_with_its_settled_tasks(bench: Bench) -> None:
    await bench.open(5, window=2)
    await bench.ledger.control.cancel(bench.name)
    await bench.settle(0)
    await bench.skip(1)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0, outcome="cancelled")) == "cancelled"
    assert (await bench.fields())["settled"] == "2"


async def test_ended_batch_refuses_every_later_call(bench: Bench) -> None:
    await reducing(bench)
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0)) == ""
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 1, Published(0, 0)) == ""
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0)) == "done"
    before = await bench.dump()
    assert await bench.ledger.finish(bench.name, "", 1, Published(0, 0)) == ""
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(1, 1)) == "done"
    assert (await bench.ledger.lease_reduce(bench.name, "late", 0)).verdict == "closed"
    assert await bench.ledger.control.cancel(bench.name) == ("done", 0, None, False)
    assert (await bench.settle(0)).verdict == "closed"
    assert await bench.claim() == "exists"
    assert await bench.dump() == before


async def test_ended_batch_has_nothing_to_repair(bench: Bench) -> None:
    await reducing(bench)
    await bench.reduce()
    await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0))
    repairs = await bench.repair()
    assert (repairs.state, repairs.release, repairs.segments, repairs.reduce) == ("done", (), (), False)


@pytest.mark.parametrize("made", ["running", "done"])
async def test_only_an_opening_or_a_reduce_records_trouble(bench: Bench, made: str) -> None:
    await bench.open(1)
    if made == "done":
        await bench.settle(0)
        await bench.segment_written(0)
        await bench.reduce()
        await bench.ledger.note_trouble(bench.name, "reducer", "S3 was away")
        assert (await bench.fields())["trouble"] == "S3 was away"
        await bench.ledger.finish(bench.name, "reducer", 0, Published(1, 0))
    assert await bench.state() == made
    await bench.ledger.note_trouble(bench.name, "reducer" if made == "done" else "", "S3 was away")
    assert "trouble" not in await bench.fields()


async def test_redrive_of_an_outdated_end_changes_nothing(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1)
    await bench.segment_written(0)
    await bench.reduce()
    await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 1))
    before = await bench.dump()
    assert (await bench.ledger.control.redrive(bench.name, "1")).verdict != "redriven"
    assert await bench.dump() == before
    seen = await bench.repair()
    assert (seen.state, seen.ended) == ("done", (await bench.fields())["ended"])
    assert (await bench.ledger.control.redrive(bench.name, seen.ended)).verdict == "redriven"
