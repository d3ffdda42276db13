"""Segments hold outcomes in S3, and the merge yields the best outcome of every item in input order."""

import asyncio
import random
from contextlib import aclosing

import pytest

from pipeline.store.bucket import Store
from pipeline.store.keys import Segment
from pipeline.store.segments import (
    READ_AHEAD,
    MissingSegmentError,
    failed_and_never_run,
    list_segments,
    merge,
    retryable,
    write_segment,
)
from tests.rigs.s3.outcomes import answer, answers, outcome
from tests.rigs.waiting import wait_until

EPOCH = "abc123"


async def merged(store: Store, segments: list[Segment]) -> list[tuple[int, bytes]]:
    return [(index, bytes(found.result)) async for some in merge(store, segments) for index, found in some.items()]


async def test_segment_is_sorted_and_named_after_its_content(store: Store, name: str) -> None:
    parts = [answer([outcome(8, "failed"), outcome(9)]), answer([outcome(2), outcome(3)]), *answers(5)]
    await write_segment(store, name, 0, EPOCH, 0, parts)
    assert await store.list(f"{name}/") == [f"{name}/segments/0/000000.{EPOCH}.2-9.1.ndjson"]
    (segment,) = await list_segments(store, name, 0, EPOCH, 1)
    assert (segment.generation, segment.number, segment.first, segment.last, segment.failed) == (0, 0, 2, 9, 1)
    assert [index for index, _ in await merged(store, [segment])] == [2, 3, 5, 8, 9]


async def test_segment_written_twice_is_one_object_with_the_same_bytes(store: Store, name: str) -> None:
    for parts in (answers(3, 1, 2), answers(2, 3, 1)):
        await write_segment(store, name, 0, EPOCH, 0, parts)
        (key,) = await store.list(f"{name}/")
        body = await store.get(key)
        assert [line.split(b",")[0] for line in body.split(b"\n")] == [b'{"index":%d' % n for n in (1, 2, 3)]


async def test_overlapping_segments_are_merged_in_input_order(store: Store, name: str) -> None:
    indices = list(range(500))
    random.Random(7).shuffle(indices)
    for number in range(10):
        await write_segment(store, name, 0, EPOCH, number, answers(*indices[number * 50 : number * 50 + 50]))
    segments = await list_segments(store, name, 0, EPOCH, 10)
    assert [index for index, _ in await merged(store, segments)] == list(range(500))


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
async def test_newest_generation_of_an_item_wins(store: Store, name: str, order: int) -> None:
    await write_segment(store, name, 0, EPOCH, 0, answers(0, 1, 2, 3, result=b'"g0"'))
    await write_segment(store, name, 0, EPOCH, 1, answers(4, 5, result=b'"g0"'))
    await write_segment(store, name, 1, EPOCH, 0, answers(1, 3, 4, result=b'"g1"'))
    await write_segment(store, name, 2, EPOCH, 0, answers(3, result=b'"g2"'))
    segments = [
        segment
        for generation, count in enumerate((2, 1, 1))
        for segment in await list_segments(store, name, generation, EPOCH, count)
    ]
    assert await merged(store, segments[::order]) == [
        (index, b'"g%d"' % generation) for index, generation in enumerate((0, 1, 0, 2, 1, 0))
    ]


async def test_each_item_is_merged_once_with_its_best_outcome(store: Store, name: str) -> None:
    rng = random.Random(3)
    best: dict[int, tuple[bool, int]] = {}
    segments: list[Segment] = []
    for generation in range(3):
        for number in range(6):
            indices = sorted(rng.sample(range(number * 20, number * 20 + 60), 15))
            found = [outcome(n, rng.choice(["succeeded", "failed"]), result=b"%d" % generation) for n in indices]
            await write_segment(store, name, generation, EPOCH, number, [answer(found)])
            for made in found:
                rank = (made.status == "succeeded", generation)
                best[made.index] = max(rank, best.get(made.index, rank))
        segments += await list_segments(store, name, generation, EPOCH, 6)
    rng.shuffle(segments)
    outcomes = [pair async for some in merge(store, segments) for pair in some.items()]
    assert [index for index, _ in outcomes] == sorted(best)
    assert {n: (made.status == "succeeded", int(bytes(made.result))) for n, made in outcomes} == best


async def test_no_segments_merge_to_nothing(store: Store) -> None:
    assert await merged(store, []) == []
    assert await failed_and_never_run(store, [], 3) == ([], [0, 1, 2])


async def test_next_segments_are_read_ahead_and_cancelled_with_the_merge(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(READ_AHEAD + 3):
        await write_segment(store, name, 0, EPOCH, number, answers(number))
    segments = await list_segments(store, name, 0, EPOCH, READ_AHEAD + 3)
    get, asked, never = store.get, [], asyncio.Event()

    async def slow(key: str) -> bytes:
        asked.append(key)
        if key != segments[0].key:
            await never.wait()
        return await get(key)

    monkeypatch.setattr(store, "get", slow)
    before = asyncio.all_tasks()
    async with aclosing(merge(store, segments)) as outcomes:
        assert list(await anext(outcomes)) == [0]
        await wait_until(lambda: len(asked) > READ_AHEAD)
    assert asked == [segment.key for segment in segments[: READ_AHEAD + 1]]
    assert asyncio.all_tasks() == before


async def test_segment_written_again_with_other_tasks_is_read_twice(store: Store, name: str) -> None:
    await write_segment(store, name, 0, EPOCH, 0, answers(0, 1))
    await write_segment(store, name, 0, EPOCH, 0, answers(1, 2))
    segments = await list_segments(store, name, 0, EPOCH, 1)
    assert [index for index, _ in await merged(store, segments)] == [0, 1, 2]


async def test_missing_segment_is_named(store: Store, name: str) -> None:
    for number in (0, 2):
        await write_segment(store, name, 0, EPOCH, number, answers(number))
    with pytest.raises(MissingSegmentError, match=rf"batch {name}: segments \[1, 3\] of generation 0 are not in S3"):
        await list_segments(store, name, 0, EPOCH, 4)


async def test_other_epochs_generations_and_numbers_are_not_listed(store: Store, name: str) -> None:
    await write_segment(store, name, 0, EPOCH, 0, answers(0))
    await write_segment(store, name, 0, EPOCH, 1, answers(1))
    await write_segment(store, name, 0, "def456", 0, answers(2))
    await write_segment(store, name, 1, EPOCH, 0, answers(3))
    assert [segment.first for segment in await list_segments(store, name, 0, EPOCH, 1)] == [0]
    assert [segment.first for segment in await list_segments(store, name, 0, "def456", 1)] == [2]
    assert await list_segments(store, name, 0, EPOCH, 0) == []


async def test_only_retryable_failures_are_listed(store: Store, name: str) -> None:
    parts = [
        answer([outcome(7, "failed", retryable=True), outcome(8, "failed")]),
        answer([outcome(1), outcome(2, "failed", retryable=True)]),
    ]
    await write_segment(store, name, 0, EPOCH, 0, parts)
    await write_segment(store, name, 0, EPOCH, 1, answers(9))
    assert await retryable(store, await list_segments(store, name, 0, EPOCH, 2)) == [2, 7]


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
@pytest.mark.parametrize("generations", [(0, 0), (0, 1), (1, 0)])
async def test_success_outweighs_any_failure(store: Store, name: str, generations: tuple[int, int], order: int) -> None:
    good, bad = generations
    await write_segment(store, name, good, EPOCH, 0, [answer([outcome(0, result=b'"good"')])])
    await write_segment(store, name, bad, EPOCH, 1, [answer([outcome(0, "failed", result=b'"bad"', retryable=True)])])
    keys = [key for generation in {*generations} for key in await store.list(f"{name}/segments/{generation}/")]
    segments = [segment for segment in map(Segment.parse, sorted(keys)) if segment]
    assert len(segments) == 2
    assert await merged(store, segments[::order]) == [(0, b'"good"')]
    assert await retryable(store, segments[::order]) == []
