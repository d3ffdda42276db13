"""A batch stops early: skipped tasks, an unknown model function, a cancel."""

import pytest

from pipeline.ledger.arguments import Published
from tests.rigs.redis.ledger_bench import Bench


async def test_skip_in_a_running_batch_changes_nothing(bench: Bench) -> None:
    await bench.open(2)
    before = await bench.dump()
    assert (await bench.skip(0)).verdict == "closed"
    assert await bench.dump() == before


async def test_cancelled_batch_releases_nothing_and_reduces_when_none_in_flight(bench: Bench) -> None:
    await bench.open(9, window=2)
    assert await bench.ledger.control.cancel(bench.name) == ("running", 0, None, False)
    first = await bench.settle(0)
    assert (first.verdict, first.release, first.reduce, first.segment) == ("settled", (), False, None)
    last = await bench.skip(1)
    assert (last.verdict, last.release, last.reduce, last.segment) == ("settled", (), True, 0)
    fields = await bench.fields()
    assert [fields[name] for name in ("state", "outcome", "reason", "succeeded", "failed")] == [
        *("reducing", "cancelled", "cancelled on request", "1", "0"),
    ]
    assert await bench.read_segment(0) == [b"answer"]


async def test_batch_whose_tasks_are_all_skipped_has_no_segment(bench: Bench) -> None:
    await bench.open(2)
    await bench.ledger.control.cancel(bench.name)
    assert (await bench.skip(0)).reduce is False
    last = await bench.skip(1)
    assert (last.segment, last.reduce) == (None, True)
    assert (await bench.fields())["segments"] == "0"


async def test_cancel_drops_waiting_retries(bench: Bench) -> None:
    await bench.claim(window=2)
    await bench.begin(tasks=2)
    await bench.fail(0)
    assert sorted(await bench.due()) == ["t:0", "w"]
    await bench.ledger.control.cancel(bench.name)
    assert await bench.due() == {}
    assert (await bench.skip(1)).reduce is True


async def test_cancel_with_none_in_flight_returns_segment_and_reduce(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.settle(0)
    for task in (1, 2):
        await bench.fail(task)
    assert await bench.ledger.control.cancel(bench.name) == ("running", 0, 0, True)
    assert await bench.due() == {"s:0": 30.0, "r": 30.0}
    assert await bench.read_segment(0) == [b"answer"]


async def test_paused_batch_can_be_cancelled(bench: Bench) -> None:
    await bench.open(1)
    await bench.redis.hset(bench.key(), "state", "paused")
    assert await bench.ledger.control.cancel(bench.name) == ("paused", 0, None, False)
    assert await bench.state() == "closing"


async def test_second_cancel_changes_nothing(bench: Bench) -> None:
    await bench.open(2)
    await bench.ledger.control.cancel(bench.name)
    before = await bench.dump()
    assert await bench.ledger.control.cancel(bench.name) == ("closing", 0, None, False)
    assert await bench.dump() == before


async def test_cancel_during_the_reduce_blocks_the_next_generation(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1)
    await bench.reduce()
    assert await bench.ledger.control.cancel(bench.name) == ("cancelled", 0, None, False)
    assert await bench.begin(1, tasks=1, owner="reducer", again=1) == ("lost", [])
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0, outcome="cancelled")) == "cancelled"


async def test_cancel_during_the_reduce_of_a_cancelled_batch_changes_nothing(bench: Bench) -> None:
    await bench.open(2, window=1)
    await bench.fail(0)
    assert (await bench.ledger.control.cancel(bench.name))[3] is True
    before = await bench.dump()
    assert await bench.ledger.control.cancel(bench.name) == ("cancelled", 0, None, False)
    assert await bench.dump() == before


async def test_cancel_while_opening_is_recorded(bench: Bench) -> None:
    await bench.claim()
    assert await bench.ledger.control.cancel(bench.name) == ("opening", 0, None, False)
    assert (await bench.fields())["cancel"] == "1"
    assert await bench.state() == "opening"


@pytest.mark.parametrize(("tasks", "limit"), [(30, 10), (3, 3), (1, 1)])
async def test_batch_stops_when_its_first_calls_are_all_404(bench: Bench, tasks: int, limit: int) -> None:
    await bench.open(tasks, window=12)
    for task in range(limit - 1):
        assert (await bench.settle(task, succeeded=0, failed=1, not_found=1)).verdict == "settled"
        assert await bench.state() == "running"
    settled = await bench.settle(limit - 1, succeeded=0, failed=1, not_found=1)
    assert settled.release == ()
    fields = await bench.fields()
    assert fields["outcome"] == "failed"
    assert fields["reason"] == (
        f"the model function 'model' answered 404 to the first {limit} calls: is it deployed under this name?"
    )
    assert fields["state"] == ("closing" if tasks == 30 else "reducing")
    assert settled.reduce is (tasks < 30)


async def test_each_call_of_a_chunk_counts_towards_the_404_limit(bench: Bench) -> None:
    await bench.open(5, items=35)
    await bench.settle(0, succeeded=0, failed=7, not_found=7)
    assert await bench.state() == "running"
    await bench.settle(1, succeeded=0, failed=7, not_found=7)
    assert await bench.state() == "closing"


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0)], ids=["one success", "one other failure"])
@pytest.mark.parametrize("place", [0, 5])
async def test_one_other_answer_among_the_first_keeps_the_batch_running(
    bench: Bench, other: tuple[int, int, int], place: int
) -> None:
    await bench.open(30)
    for task in range(20):
        succeeded, failed, not_found = other if task == place else (0, 1, 1)
        await bench.settle(task, succeeded=succeeded, failed=failed, not_found=not_found)
    assert await bench.state() == "running"


async def test_a_404_in_a_later_generation_is_an_ordinary_failure(bench: Bench) -> None:
    await bench.open(2)
    for task in range(2):
        await bench.settle(task, succeeded=0, failed=1)
    await bench.reduce()
    await bench.begin(1, tasks=2, owner="reducer", again=2)
    for task in range(2):
        await bench.settle(task, generation=1, succeeded=0, failed=1, not_found=1)
    fields = await bench.fields()
    assert (fields["state"], fields["outcome"]) == ("reducing", "done")
