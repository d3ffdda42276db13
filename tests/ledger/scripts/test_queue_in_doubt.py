"""repair: a queue that suddenly falls silent, or refused a release, is probed; a newer answer proves what it lost."""

from pipeline.units import MICROSECONDS
from tests.rigs.redis.ledger_bench import SILENCE, Bench

TASKS = 12


async def fall_silent(bench: Bench, seconds: float = 6, *, direct: bool = False) -> None:
    """Open a batch whose tasks are all in flight; one was answered at once, and the others are silent since."""
    await bench.open(TASKS, direct=direct)
    await bench.settle(0)
    await be_silent(bench, seconds)


async def be_silent(bench: Bench, seconds: float) -> None:
    """Let the last answer, and the releases of all silent tasks, be so long ago."""
    await bench.age(heard_at=-seconds)
    await bench.age_releases(**{f"t{task}": -seconds for task in await bench.in_flight()})


async def test_queue_that_falls_silent_is_probed_with_some_tasks(bench: Bench) -> None:
    await fall_silent(bench, 4)
    assert (await bench.repair()).release == ()
    await be_silent(bench, 6)
    probes = await bench.repair()
    assert (len(probes.release), probes.lost) == (4, 4)
    assert {attempt for _, attempt in probes.release} == {1}
    assert (await bench.repair()).release == ()


async def test_probes_are_repeated_after_twice_the_time(bench: Bench) -> None:
    await fall_silent(bench)
    await bench.repair()
    for wait in (10, 20, 40, 80):
        await bench.age(probed_at=-wait + 1)
        assert (await bench.repair()).release == ()
        await bench.age(probed_at=-wait - 1)
        assert len((await bench.repair()).release) == 4
    await bench.age(probed_at=-SILENCE - 1)
    assert len((await bench.repair()).release) == 4


async def test_answered_probe_proves_that_the_silent_tasks_are_lost(bench: Bench) -> None:
    await fall_silent(bench)
    probes = dict((await bench.repair()).release)
    task = next(iter(probes))
    await bench.settle(task, probes[task])
    assert (await bench.repair()).release == ()
    await bench.age(proven_at=-4)
    assert (await bench.repair()).release == ()
    await bench.age(proven_at=-6)
    lost = {task for task, _ in (await bench.repair()).release}
    # The probes were released after the doubt began.
    assert lost == set(range(1, TASKS)) - probes.keys()
    assert "doubt_at" not in await bench.fields()
    assert (await bench.repair()).release == ()


async def test_run_whose_callback_was_lost_is_lost_with_the_others(bench: Bench) -> None:
    await fall_silent(bench)
    running = max(await bench.in_flight())
    await bench.start(running)
    probes = dict((await bench.repair()).release)
    assert running not in probes
    task = next(iter(probes))
    await bench.settle(task, probes[task])
    await bench.repair()
    await bench.age(proven_at=-6)
    assert running in dict((await bench.repair()).release)


async def test_probes_that_were_lost_too_are_found_by_a_later_one(bench: Bench) -> None:
    await fall_silent(bench)
    first = dict((await bench.repair()).release)
    await bench.age(probed_at=-11)
    second = dict((await bench.repair()).release)
    assert not first.keys() & second.keys()
    task = next(iter(second))
    await bench.settle(task, second[task])
    await bench.repair()
    await bench.age(proven_at=-6)
    assert first.keys() < dict((await bench.repair()).release).keys()


async def test_late_answer_of_an_older_release_proves_nothing(bench: Bench) -> None:
    await fall_silent(bench)
    probes = dict((await bench.repair()).release)
    await bench.settle(next(task for task in await bench.in_flight() if task not in probes))
    await bench.repair()
    assert "proven_at" not in await bench.fields()


async def test_tasks_that_run_are_not_probed(bench: Bench) -> None:
    await bench.open(TASKS)
    await bench.settle(0)
    for task in range(1, TASKS):
        await bench.start(task)
    await be_silent(bench, 6)
    assert (await bench.repair()).release == ()


async def test_queue_that_answers_slowly_is_waited_for(bench: Bench) -> None:
    await fall_silent(bench, 30)
    await bench.write(delay=str(20 * MICROSECONDS))
    assert (await bench.repair()).release == ()
    await be_silent(bench, 41)
    assert len((await bench.repair()).release) == 4


async def test_delay_is_that_of_the_slowest_answer_and_is_forgotten_slowly(bench: Bench) -> None:
    await bench.open(3)
    await bench.age_releases(t0=-100)
    await bench.settle(0)
    assert int((await bench.fields())["delay"]) >= 100 * MICROSECONDS
    await bench.settle(1)
    assert 90 <= int((await bench.fields())["delay"]) / MICROSECONDS < 91
    await bench.age_releases(t2=-300)
    await bench.settle(2, attempt=1)
    assert int((await bench.fields())["delay"]) / MICROSECONDS < 91


async def test_refused_release_puts_older_tasks_in_doubt(bench: Bench) -> None:
    await bench.open(TASKS)
    await bench.settle(0)
    await bench.age_releases(**{f"t{task}": -2 for task in await bench.in_flight()})
    await bench.defer([1], 0)
    *probes, refused = (await bench.repair()).release
    assert (len(probes), refused) == (4, (1, 0))
    await bench.settle(1)
    await bench.repair()
    await bench.age(proven_at=-6)
    assert {task for task, _ in (await bench.repair()).release} == set(range(2, TASKS)) - dict(probes).keys()


async def test_queue_that_goes_on_refusing_is_probed_ever_more_rarely(bench: Bench) -> None:
    await bench.open(TASKS)
    await bench.settle(0)
    probes = 0
    for _ in range(5):
        await bench.defer([1], 60)
        probes += len((await bench.repair()).release)
    assert probes == 4


async def test_few_silent_direct_calls_may_be_slow(bench: Bench) -> None:
    await fall_silent(bench, direct=True)
    assert (await bench.repair()).release == ()


async def test_many_silent_direct_calls_are_probed(bench: Bench) -> None:
    await bench.open(20, direct=True)
    await bench.settle(0)
    await be_silent(bench, 6)
    assert len((await bench.repair()).release) == 4


async def test_direct_calls_that_the_worker_may_repeat_are_not_probed(bench: Bench) -> None:
    await bench.open(20, direct=True)
    await bench.settle(0)
    await be_silent(bench, 6)
    assert (await bench.ledger.repair(bench.name, SILENCE, 0, worker_retries=1)).release == ()
