"""repair: a task is lost by evidence, not by silence."""

from pipeline.ledger.ledger import LOSSES_ALLOWED
from tests.rigs.redis.ledger_bench import SILENCE, Bench


async def silent(bench: Bench, **releases: float) -> None:
    """Let the last answer be long ago, and the tasks released at these seconds from now."""
    await bench.age()
    await bench.age_releases(**releases)


async def test_task_older_than_an_answer_is_lost_after_a_silence(bench: Bench) -> None:
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


async def test_nothing_is_lost_within_a_silence_of_the_mark(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.age_releases(t0=-300, t1=-200)
    await bench.settle(1)
    await bench.age(mark_at=-SILENCE - 1)
    await bench.repair()
    await bench.age(mark_at=-SILENCE + 20)
    assert (await bench.repair()).release == ()


async def test_task_released_with_or_after_the_answered_one_is_not_lost(bench: Bench) -> None:
    await bench.open(3, window=3)
    heard = await bench.release_time(0)
    assert await bench.release_time(1) == heard
    await bench.settle(0)
    for _ in range(3):
        await bench.age(mark_at=-SILENCE - 1)
        assert (await bench.repair()).release == ()
    assert int((await bench.fields())["mark"]) == heard


async def test_foreign_backlog_loses_nothing_and_gets_one_probe_a_silence(bench: Bench) -> None:
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


async def test_no_probe_while_any_task_answers(bench: Bench) -> None:
    await bench.open(6, window=4)
    await silent(bench, t0=-900, t1=-900, t2=-800, t3=-700)
    await bench.settle(3)
    assert (await bench.repair()).release == ()


async def test_no_probe_while_tasks_released_together_answer(bench: Bench) -> None:
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


async def test_older_answer_does_not_lower_the_newest_heard_release(bench: Bench) -> None:
    await bench.open(4)
    await bench.age_releases(t0=-500, t1=-400, t2=-300)
    newest = await bench.release_time(2)
    await bench.settle(2)
    await bench.settle(0)
    await bench.fail(1)
    assert int((await bench.fields())["heard"]) == newest


async def test_task_released_just_now_is_not_probed(bench: Bench) -> None:
    await bench.open(2)
    await silent(bench, t0=-SILENCE + 20, t1=-SILENCE + 20)
    assert (await bench.repair()).release == ()


async def test_late_answer_of_a_probed_task_does_not_count_as_heard(bench: Bench) -> None:
    await bench.open(3)
    await silent(bench, t0=-900, t1=-800, t2=-700)
    assert (await bench.repair()).release == ((0, 1),)
    assert (await bench.settle(0, 0)).verdict == "settled"
    assert (await bench.fields())["heard"] == "0"
    await bench.age(mark_at=-1000, heard_at=-1, probed_at=-1)
    await bench.repair()
    await bench.age(mark_at=-1000)
    assert (await bench.repair()).release == ()


async def test_task_lost_too_often_is_exhausted_until_it_is_settled(bench: Bench) -> None:
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
    """Let task 0 be older than the release that was heard a silence ago."""
    await bench.age_releases(t0=-500)
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)


async def test_silence_alone_never_exhausts_a_task(bench: Bench) -> None:
    await bench.open(1)
    for _ in range(3 * LOSSES_ALLOWED):
        await silent(bench, t0=-900)
        repairs = await bench.repair()
        assert repairs.exhausted == ()
        assert len(repairs.release) == 1
    assert await bench.state() == "running"


async def test_one_sweep_releases_a_bounded_number_of_lost_tasks(bench: Bench) -> None:
    await bench.open(300, window=250)
    await bench.age_releases(**{f"t{task}": -500 for task in range(250)})
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)
    assert [len((await bench.repair()).release) for _ in range(4)] == [100, 100, 50, 0]


async def test_lost_and_new_tasks_share_the_bound_of_one_sweep(bench: Bench) -> None:
    await bench.open(400, window=150)
    await bench.redis.zrem(bench.key("inflight"), *map(str, range(90, 150)))
    await bench.age_releases(**{f"t{task}": -500 for task in range(90)})
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)
    released = (await bench.repair()).release
    assert sorted(released) == [*((task, 1) for task in range(90)), *((task, 0) for task in range(150, 160))]


async def open_direct(bench: Bench) -> None:
    assert await bench.claim() == "claimed"
    await bench.begin(tasks=3, direct=True)
    await bench.confirm(0)


async def test_direct_call_is_lost_after_the_retries_of_the_worker(bench: Bench) -> None:
    await open_direct(bench)
    await bench.age_releases(t0=-800, t1=-700, t2=-700)
    await bench.settle(1)
    await bench.age(mark=-750, mark_at=-SILENCE - 400, heard_at=-1, probed_at=-1)
    assert (await bench.repair(worker_retries=500)).release == ()
    assert (await bench.repair(worker_retries=300)).release == ((0, 1),)


async def test_direct_call_is_not_probed_while_the_worker_may_repeat_it(bench: Bench) -> None:
    await open_direct(bench)
    await silent(bench, t0=-SILENCE - 400, t1=-SILENCE - 300, t2=-SILENCE - 300)
    await bench.age(heard_at=-SILENCE - 400, probed_at=-SILENCE - 400)
    assert (await bench.repair(worker_retries=500)).release == ()
    assert (await bench.repair(worker_retries=350)).release == ((0, 1),)


async def test_task_is_lost_without_regard_to_repeated_direct_calls(bench: Bench) -> None:
    await bench.open(3)
    await silent(bench, t0=-900, t1=-800, t2=-700)
    assert (await bench.repair(worker_retries=5000)).release == ((0, 1),)


async def test_stopped_batch_does_not_wait_for_repeated_direct_calls(bench: Bench) -> None:
    await open_direct(bench)
    await bench.ledger.control.cancel(bench.name)
    await bench.age(closing_at=-SILENCE - 1)
    assert (await bench.repair(worker_retries=5000)).state == "reducing"
