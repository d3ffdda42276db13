"""settle counts items over time, durations of tasks and failures by kind."""

from typing import Any

import pytest

from pipeline.answers.envelope import Envelope
from pipeline.answers.failure_kinds import Example, FailureGroup
from pipeline.ledger.arguments import Published
from pipeline.ledger.measures import SLOTS, read_measures, upper_edge
from pipeline.ledger.replies import State
from pipeline.settings.environment import read_settings
from pipeline.status.document import status_document
from tests.rigs.redis.ledger_bench import Bench

SETTINGS = read_settings({"s3_bucket": "rows"})


async def settle(
    bench: Bench, task: int, *kinds: FailureGroup, succeeded: int = 0, seconds: float | None = None, generation: int = 0
) -> None:
    failed, retryable = sum(kind.given_up + kind.retryable for kind in kinds), sum(kind.retryable for kind in kinds)
    envelope = Envelope(succeeded, failed, 0, task, task, retryable, kinds)
    identity = await bench.current(task, generation=generation)
    assert (await bench.ledger.settle(identity, envelope, b"answer", seconds)).verdict == "settled"


def kind(name: str, given_up: int = 1, retryable: int = 0, index: int = 0) -> FailureGroup:
    return FailureGroup(name, 500, given_up, retryable, Example(index, f"row {index}", name, "call"))


async def state(bench: Bench) -> State:
    found = await bench.ledger.state(bench.name)
    assert found is not None
    return found


async def failures(bench: Bench) -> list[dict[str, Any]]:
    document = status_document(SETTINGS, bench.name, await state(bench))
    return [dict(group) for group in document["failures"]]


async def counts(bench: Bench) -> dict[str, tuple[int, int]]:
    return {group["kind"]: (group["count"], group["retried"]) for group in await failures(bench)}


async def age(bench: Bench, seconds: float) -> None:
    """Let the run have begun `seconds` ago."""
    await bench.write(run_at=str(int((await bench.now() - seconds) * 1e6)))


async def test_items_are_counted_in_the_slot_of_their_time(bench: Bench) -> None:
    await bench.open(3, items=6)
    await settle(bench, 0, succeeded=3)
    await age(bench, 50.5)
    await settle(bench, 1, kind("a"), succeeded=1)
    slots = read_measures(await state(bench)).slots
    assert {place: count for place, count in enumerate(slots) if count} == {0: 3, 50: 2}


async def test_duplicate_and_skipped_tasks_count_nothing(bench: Bench) -> None:
    await bench.open(3)
    await settle(bench, 0, succeeded=1, seconds=1)
    await bench.ledger.settle(await bench.current(0), Envelope(1, 0, 0, 0, 0), b"answer", 1.0)
    await bench.ledger.control.cancel(bench.name)
    await bench.skip(1)
    measures = read_measures(await state(bench))
    assert (sum(measures.slots), measures.tasks) == (1, 1)


@pytest.mark.parametrize(
    ("since", "width", "place"), [(119.5, 1, 119), (120.5, 2, 60), (240.5, 4, 60), (300.5, 4, 75), (1e6, 16384, 61)]
)
async def test_slots_widen_with_the_run_and_keep_their_counts(
    bench: Bench, since: float, width: float, place: int
) -> None:
    await bench.open(4, items=40)
    await settle(bench, 0, succeeded=7)
    await age(bench, 3.5)
    await settle(bench, 1, succeeded=2, seconds=0.5)
    await age(bench, since)
    await settle(bench, 2, succeeded=1, seconds=2)
    measures = read_measures(await state(bench))
    assert measures.width == width
    expected = {0: 7, 3: 2} if width == 1 else {0: 7, 1: 2} if width == 2 else {0: 9}
    assert {at: count for at, count in enumerate(measures.slots) if count} == expected | {place: 1}
    assert (measures.tasks, measures.quantile(0.5)) == (2, upper_edge(36))


async def test_last_slot_is_not_the_first_duration(bench: Bench) -> None:
    await bench.open(2)
    await age(bench, SLOTS - 0.5)
    await settle(bench, 0, succeeded=1, seconds=0)
    measures = read_measures(await state(bench))
    assert (measures.slots[-1], measures.buckets[0], measures.tasks) == (1, 1, 1)


async def test_failures_are_counted_by_kind_with_the_newest_example(bench: Bench) -> None:
    await bench.open(3, items=9)
    await settle(bench, 0, kind("a", 2, index=1), kind("b", 0, 1))
    await settle(bench, 1, kind("a", 1, 1, index=4))
    assert await counts(bench) == {"a": (4, 0), "b": (1, 0)}
    newest, _ = await failures(bench)
    assert newest["kind"] == "a"
    assert newest["example"] == {"index": 4, "item": "row 4", "result": "a", "call_id": "call", "generation": 0}
    assert newest["status_code"] == 500
    assert abs(newest["at"] - await bench.now()) < 60


async def test_at_most_twenty_kinds_are_kept_and_the_oldest_goes(bench: Bench) -> None:
    await bench.open(30)
    for task in range(20):
        await settle(bench, task, kind(f"kind {task}"))
    await settle(bench, 20, kind("kind 0"))
    await settle(bench, 21, kind("kind 21"))
    assert set(await counts(bench)) == {"kind 0", *(f"kind {number}" for number in range(2, 20)), "kind 21"}
    assert (await failures(bench))[0]["kind"] == "kind 21"


async def test_automatic_retry_counts_as_retried(bench: Bench) -> None:
    await bench.open(1, items=5)
    await settle(bench, 0, kind("a", 2, 3))
    await bench.segment_written(0)
    await bench.reduce()
    assert await bench.begin(1, tasks=3, owner="reducer", again=3) == ("running", [0, 1, 2])
    assert await counts(bench) == {"a": (2, 3)}
    await settle(bench, 0, kind("a", 0, 1, index=2), generation=1)
    assert await counts(bench) == {"a": (3, 3)}
    assert (await failures(bench))[0]["example"]["generation"] == 1
    slots = read_measures(await state(bench)).slots
    assert sum(slots) == 6


async def test_redrive_retries_every_kind_and_starts_its_own_series(bench: Bench) -> None:
    await bench.open(1, items=5)
    await settle(bench, 0, kind("a", 2, 1), succeeded=2, seconds=3)
    await bench.segment_written(0)
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(2, 3)) == "done"
    ended = read_measures(await state(bench))
    assert (sum(ended.slots), ended.tasks) == (5, 1)
    await bench.write(slot_width="4000000")
    await bench.ledger.control.redrive(bench.name)
    await bench.reduce()
    await bench.begin(1, tasks=3, owner="reducer", again=3)
    assert await counts(bench) == {"a": (0, 3)}
    begun = read_measures(await state(bench))
    assert (sum(begun.slots), begun.tasks, begun.width) == (0, 0, 1.0)


async def test_new_batch_under_an_old_id_starts_without_measures(bench: Bench) -> None:
    await bench.open(2)
    await settle(bench, 0, kind("a"), seconds=1)
    await bench.redis.delete(bench.key(""))
    await bench.claim()
    assert (await state(bench)).series == b""
    assert await counts(bench) == {}


async def test_measures_expire_with_the_batch(bench: Bench) -> None:
    await bench.open(2)
    await settle(bench, 0, kind("a"), seconds=1)
    expire_at = int((await bench.fields())["expire_at"])
    assert [await bench.redis.expiretime(bench.key(part)) for part in ("series", "failures")] == [expire_at] * 2
