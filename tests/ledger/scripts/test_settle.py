"""settle: the first answer of a task counts once, and creates the duties that follow."""

import pytest

from pipeline.ledger.arguments import Published
from tests.rigs.redis.ledger_bench import Bench


async def test_first_answer_settles_a_task_and_releases_the_next(bench: Bench) -> None:
    await bench.open(3, window=1)
    settled = await bench.settle(0, succeeded=2, failed=1)
    assert (settled.verdict, settled.function, settled.release) == ("settled", "model", (1,))
    assert (settled.segment, settled.reduce) == (None, False)
    fields = await bench.fields()
    assert [fields[name] for name in ("succeeded", "failed", "pending", "bytes", "next")] == ["2", "1", "3", "6", "2"]
    assert await bench.in_flight() == [1]


@pytest.mark.parametrize("attempt", [0, 1, 7])
async def test_second_answer_of_any_attempt_is_a_duplicate(bench: Bench, attempt: int) -> None:
    await bench.open(5, window=2)
    assert (await bench.settle(0, attempt)).release == (2,)
    before = await bench.dump()
    for late in (0, 1, 7):
        settled = await bench.settle(0, late, succeeded=0, failed=1, answer=b"another")
        assert (settled.verdict, settled.segment, settled.reduce, settled.release) == ("duplicate", None, False, ())
    assert await bench.dump() == before


async def test_duplicate_clears_the_duties_of_another_attempt(bench: Bench) -> None:
    await bench.open(2)
    await bench.settle(0)
    await bench.redis.zadd(bench.key("inflight"), {"0": 1})
    await bench.redis.zadd(bench.key("due"), {"t:0": 1})
    assert (await bench.settle(0)).verdict == "duplicate"
    assert await bench.in_flight() == [1]
    assert await bench.due() == {}


async def test_settle_clears_the_retry_of_the_task(bench: Bench) -> None:
    await bench.open(2)
    assert await bench.fail(0) == "retry"
    assert await bench.due() == {"t:0": 50.0}
    assert (await bench.settle(0, 0)).verdict == "settled"
    assert await bench.due() == {}
    assert await bench.attempts() == {}


@pytest.mark.parametrize("generation", [1, 7])
async def test_answer_to_another_generation_changes_nothing(bench: Bench, generation: int) -> None:
    await bench.open(2)
    before = await bench.dump()
    assert (await bench.settle(0, generation=generation)).verdict == "closed"
    assert await bench.dump() == before


async def test_answer_to_a_closed_generation_changes_nothing(bench: Bench) -> None:
    await bench.open(2)
    for task in range(2):
        await bench.settle(task, succeeded=0, failed=1)
    await bench.reduce()
    await bench.begin(1, tasks=2, owner="reducer", again=2)
    before = await bench.dump()
    assert (await bench.settle(0)).verdict == "closed"
    assert await bench.dump() == before


async def test_no_script_creates_a_missing_ledger(bench: Bench) -> None:
    assert (await bench.settle(0)).verdict == "unknown"
    assert await bench.fail(0) == "unknown"
    await bench.ledger.extend(await bench.current(0))
    await bench.confirm(0)
    await bench.defer([0], 1, generation=0)
    await bench.segment_written(0, generation=0)
    assert (await bench.ledger.lease_reduce(bench.name, "owner", 0)).verdict == "unknown"
    assert await bench.ledger.finish(bench.name, "owner", 0, Published(0, 0)) == ""
    assert await bench.ledger.control.cancel(bench.name) == ("", 0, None, False)
    assert (await bench.repair()).state == "gone"
    assert await bench.dump() == {"hash": {}}


async def test_settle_before_begin_is_closed(bench: Bench) -> None:
    await bench.claim()
    before = await bench.dump()
    assert (await bench.settle(0)).verdict == "closed"
    assert await bench.dump() == before


async def test_settle_releases_at_most_two_so_that_a_shrunk_window_heals(bench: Bench) -> None:
    await bench.open(20, window=4)
    await bench.redis.zrem(bench.key("inflight"), "1", "2", "3")
    assert (await bench.settle(0)).release == (4, 5)
    assert (await bench.settle(4)).release == (6, 7)
    assert (await bench.settle(5)).release == (8, 9)
    assert (await bench.settle(6)).release == (10,)
    assert await bench.in_flight() == [7, 8, 9, 10]


async def test_settle_with_a_full_window_releases_nothing(bench: Bench) -> None:
    await bench.open(9, window=2)
    await bench.redis.hset(bench.key(), "window", "1")
    assert (await bench.settle(0)).release == ()
    assert (await bench.settle(1)).release == (2,)


async def test_settle_in_a_paused_batch_releases_nothing(bench: Bench) -> None:
    await bench.open(4, window=2)
    await bench.redis.hset(bench.key(), "state", "paused")
    settled = await bench.settle(0)
    assert (settled.verdict, settled.release) == ("settled", ())
    assert (await bench.settle(1)).reduce is False
    assert await bench.in_flight() == []


async def test_last_settle_returns_the_last_segment_and_the_reduce(bench: Bench) -> None:
    await bench.open(2)
    assert (await bench.settle(1)).reduce is False
    settled = await bench.settle(0)
    assert (settled.verdict, settled.segment, settled.reduce, settled.release) == ("settled", 0, True, ())
    assert await bench.due() == {"s:0": 30.0, "r": 30.0}
    assert await bench.read_segment(0) == [b"answer", b"answer"]
    assert await bench.state() == "reducing"
    assert (await bench.settle(0)).verdict == "closed"


async def test_last_settle_after_a_full_segment_returns_the_next_segment(bench: Bench) -> None:
    await bench.open(2, items=1001)
    assert (await bench.settle(0, succeeded=1000)).segment == 0
    settled = await bench.settle(1)
    assert (settled.segment, settled.reduce) == (1, True)


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [(500, b"x"), (1, b"x" * 4 * 1024 * 1024)],
    ids=["a thousand outcomes", "eight MiB"],
)
async def test_segment_is_cut_at_its_limits(bench: Bench, outcomes: int, answer: bytes) -> None:
    await bench.open(4, items=4 * outcomes)
    assert (await bench.settle(0, succeeded=outcomes - 1, failed=1, answer=answer)).segment is None
    assert (await bench.settle(1, succeeded=outcomes, answer=answer)).segment == 0
    assert await bench.read_segment(0) == [answer, answer]
    fields = await bench.fields()
    assert (fields["segments"], fields["pending"], fields["bytes"]) == ("1", "0", "0")
    assert (await bench.settle(2, succeeded=outcomes, answer=answer)).segment is None
    assert (await bench.settle(3, succeeded=outcomes, answer=answer)).segment == 1
    assert await bench.due() == {"s:0": 30.0, "s:1": 30.0, "r": 30.0}


async def test_segment_is_not_cut_below_its_limits(bench: Bench) -> None:
    await bench.open(3, items=3000)
    assert (await bench.settle(0, succeeded=999, answer=b"x" * (8 * 1024 * 1024 - 1))).segment is None
    assert (await bench.settle(1, answer=b"")).segment == 0


async def test_written_segment_is_no_longer_due(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0)
    await bench.segment_written(0, generation=1)
    assert "s:0" in await bench.due()
    await bench.segment_written(0, generation=0)
    assert await bench.due() == {"r": 30.0}
    assert await bench.read_segment(0) == []


async def test_written_segment_extends_the_expiry_and_never_shortens_it(bench: Bench) -> None:
    await bench.open(3, items=3000)
    for task in range(2):
        await bench.settle(task, succeeded=1000)
    later = int(await bench.now()) + 60 * 86400
    await bench.redis.hset(bench.key(), "expire_at", str(later))
    await bench.segment_written(0, generation=0)
    assert await bench.expiries() == {later}
    await bench.redis.hset(bench.key(), "expire_at", str(int(await bench.now()) + 60))
    await bench.segment_written(1, generation=0)
    (expiry,) = await bench.expiries()
    assert expiry - await bench.now() > 6 * 86400


async def test_segments_are_written_in_any_order(bench: Bench) -> None:
    await bench.open(4, items=4000)
    for task in range(4):
        await bench.settle(task, succeeded=1000, answer=b"answer %d" % task)
    await bench.segment_written(1)
    assert [await bench.read_segment(n) for n in range(4)] == [[b"answer 0"], [], [b"answer 2"], [b"answer 3"]]
    await bench.segment_written(0)
    assert [await bench.read_segment(n) for n in range(4)] == [[], [], [b"answer 2"], [b"answer 3"]]
    assert len(await bench.redis.lrange(bench.key("outcomes"), 0, -1)) == 2
    await bench.segment_written(2)
    assert await bench.read_segment(3) == [b"answer 3"]
