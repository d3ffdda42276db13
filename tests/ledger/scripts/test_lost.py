"""repair: what is lost is known by evidence, not by silence."""

from pipeline.ledger.ledger import LOSSES_ALLOWED
from tests.rigs.redis.ledger_bench import SILENCE, Bench


async def silent(bench: Bench, **releases: float) -> None:
    """Nothing has been heard for long, and the tasks were released these seconds ago."""
    await bench.age()
    await bench.age_releases(**releases)


async def test_released_before_what_was_answered_a_silence_ago_a_task_is_lost(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.age_releases(t0=-300, t1=-200)
    await bench.settle(1)
    await bench.age(mark_at=-SILENCE - 1)
    assert (await bench.repair()).release == ()
    assert (await bench.repair()).release == ()
    await bench.age(mark_at=-SILENCE - 1)
    assert (await bench.repair()).release == ((0, 1),)
    assert await bench.attempts() == {"l:0": 1, "0": 1}
    assert (await bench.fields())["retried"] == "1"
    assert await bench.in_flight() == [0, 2]
    await bench.age(mark_at=-SILENCE - 1)
    assert (await bench.repair()).release == ()


async def test_within_a_silence_of_the_mark_nothing_is_lost(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.age_releases(t0=-300, t1=-200)
    await bench.settle(1)
    await bench.age(mark_at=-SILENCE - 1)
    await bench.repair()
    await bench.age(mark_at=-SILENCE + 20)
    assert (await bench.repair()).release == ()


async def test_released_with_or_after_what_was_answered_nothing_is_lost(bench: Bench) -> None:
    await bench.open(3, window=3)
    heard = await bench.release_time(0)
    assert await bench.release_time(1) == heard
    await bench.settle(0)
    for _ in range(3):
        await bench.age(mark_at=-SILENCE - 1)
        assert (await bench.repair()).release == ()
    assert int((await bench.fields())["mark"]) == heard


async def test_behind_a_foreign_backlog_nothing_is_lost_and_one_probe_a_silence_is_sent(bench: Bench) -> None:
    await bench.open(6, window=4)
    await silent(bench, t0=-900, t1=-900, t2=-800, t3=-700)
    probes: list[tuple[int, int]] = []
    for _ in range(4):
        probes += (await bench.repair()).release
        assert (await bench.repair()).release == ()
        await bench.age(mark_at=-1000)
        assert (await bench.repair()).release == ()
        await bench.age(probed_at=-SILENCE - 1)
    assert probes == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert (await bench.repair()).release == ()
    assert not any(name.startswith("l:") for name in await bench.attempts())
    assert (await bench.fields())["failed"] == "0"


async def test_while_something_answers_nothing_is_probed(bench: Bench) -> None:
    await bench.open(6, window=4)
    await silent(bench, t0=-900, t1=-900, t2=-800, t3=-700)
    await bench.settle(3)
    assert (await bench.repair()).release == ()


async def test_while_tasks_that_were_released_together_answer_nothing_is_probed(bench: Bench) -> None:
    await bench.open(4)
    await bench.age_releases(t0=-900, t1=-900, t2=-900, t3=-900)
    together = await bench.release_time(0)
    for task in (1, 2, 3):
        await bench.redis.zadd(bench.key("inflight"), {str(task): together})
    await bench.settle(0)
    await bench.age(heard_at=-SILENCE - 1, probed_at=-SILENCE - 1)
    await bench.settle(1)
    assert (await bench.repair()).release == ()
    await bench.age(heard_at=-SILENCE - 1, probed_at=-SILENCE - 1)
    await bench.fail(2)
    assert (await bench.repair()).release == ()


async def test_an_older_answer_does_not_take_back_what_was_heard(bench: Bench) -> None:
    await bench.open(4)
    await bench.age_releases(t0=-500, t1=-400, t2=-300)
    newest = await bench.release_time(2)
    await bench.settle(2)
    await bench.settle(0)
    await bench.fail(1)
    assert int((await bench.fields())["heard"]) == newest


async def test_a_message_that_was_just_released_is_not_probed(bench: Bench) -> None:
    await bench.open(2)
    await silent(bench, t0=-SILENCE + 20, t1=-SILENCE + 20)
    assert (await bench.repair()).release == ()


async def test_the_late_answer_of_a_probed_task_says_nothing_about_the_queue(bench: Bench) -> None:
    await bench.open(3)
    await silent(bench, t0=-900, t1=-800, t2=-700)
    assert (await bench.repair()).release == ((0, 1),)
    assert (await bench.settle(0, 0)).verdict == "settled"
    assert (await bench.fields())["heard"] == "0"
    await bench.age(mark_at=-1000, heard_at=-1, probed_at=-1)
    await bench.repair()
    await bench.age(mark_at=-1000)
    assert (await bench.repair()).release == ()


async def test_lost_too_often_a_task_is_exhausted_again_and_again_until_it_is_settled(bench: Bench) -> None:
    await bench.open(9, window=2)
    for loss in range(LOSSES_ALLOWED):
        await silent_after_newer(bench)
        assert (await bench.repair()).release == ((0, loss + 1),)
    for _ in range(2):
        await silent_after_newer(bench)
        repairs = await bench.repair()
        assert (repairs.release, repairs.exhausted) == ((), (0,))
    assert (await bench.settle(0, 5, succeeded=0, failed=1)).verdict == "settled"
    await silent_after_newer(bench)
    assert (await bench.repair()).exhausted == ()


async def silent_after_newer(bench: Bench) -> None:
    """Task 0 is older than what was heard a silence ago."""
    await bench.age_releases(t0=-500)
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)


async def test_silence_alone_fails_nothing_while_the_deadline_is_to_come(bench: Bench) -> None:
    await bench.open(1)
    for _ in range(3 * LOSSES_ALLOWED):
        await silent(bench, t0=-900)
        repairs = await bench.repair()
        assert repairs.exhausted == ()
        assert len(repairs.release) == 1
    assert await bench.state() == "running"


async def test_one_sweep_releases_a_bounded_number_and_the_next_goes_on(bench: Bench) -> None:
    await bench.open(300, window=250)
    await bench.age_releases(**{f"t{task}": -500 for task in range(250)})
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)
    assert [len((await bench.repair()).release) for _ in range(4)] == [100, 100, 50, 0]


async def test_what_was_lost_and_what_is_fresh_are_bounded_together(bench: Bench) -> None:
    await bench.open(400, window=150)
    await bench.redis.zrem(bench.key("inflight"), *map(str, range(90, 150)))
    await bench.age_releases(**{f"t{task}": -500 for task in range(90)})
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)
    released = (await bench.repair()).release
    assert sorted(released) == [*((task, 1) for task in range(90)), *((task, 0) for task in range(150, 160))]
