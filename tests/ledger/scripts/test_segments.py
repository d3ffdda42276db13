"""answers and segment: only outcomes that are in S3 leave Redis."""

from tests.rigs.redis.ledger_bench import Bench


async def cut(bench: Bench, answers: int = 1) -> None:
    """Open a batch of six tasks and settle the first ones, each of which fills a segment."""
    await bench.open(6, items=6000)
    for task in range(answers):
        assert (await bench.settle(task, succeeded=1000, answer=b"answer %d" % task)).segment == task


async def outcomes(bench: Bench) -> list[bytes]:
    """The answers that Redis holds."""
    found: list[bytes] = await bench._await(bench.redis.lrange(bench.key("outcomes"), 0, -1))
    return found


async def test_answer_after_a_cut_goes_into_the_next_segment(bench: Bench) -> None:
    await cut(bench)
    await bench.settle(1, answer=b"after the cut")
    await bench.segment_written(0)
    assert await outcomes(bench) == [b"after the cut"]
    assert (await bench.settle(2, succeeded=999, answer=b"the last of it")).segment == 1
    await bench.settle(3, answer=b"after the next")
    assert await bench.read_segment(1) == [b"after the cut", b"the last of it"]
    await bench.segment_written(1)
    assert await outcomes(bench) == [b"after the next"]


async def test_segment_written_twice_is_trimmed_once(bench: Bench) -> None:
    await cut(bench, 2)
    await bench.segment_written(0)
    await bench.write(expire_at=str(int(await bench.now()) + 3600))
    before = await bench.dump()
    await bench.segment_written(0)
    assert await bench.dump() == before
    assert await bench.read_segment(1) == [b"answer 1"]


async def test_segment_written_of_another_epoch_trims_nothing(bench: Bench) -> None:
    await cut(bench)
    before = await bench.dump()
    await bench.ledger.segment_written(bench.name, 0, 0, "1")
    assert await bench.dump() == before
    assert await bench.read_segment(0) == [b"answer 0"]


async def test_segment_answers_of_a_past_generation_are_empty(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1, answer=b"first generation")
    await bench.segment_written(0)
    await bench.reduce()
    await bench.begin(1, tasks=1, owner="reducer", again=1)
    assert (await bench.settle(0, generation=1, answer=b"second generation")).segment == 0
    assert await bench.ledger.read_segment(bench.name, 0, 0) == ("", [])
    assert await bench.read_segment(0, generation=1) == [b"second generation"]
