"""begin: a generation opens by compare-and-set; its first window is due until it is confirmed."""

import pytest

from tests.rigs.redis.ledger_bench import Bench


async def test_begin_releases_the_first_window_and_makes_it_due(bench: Bench) -> None:
    await bench.claim(window=2)
    assert await bench.begin(tasks=5, items=9) == ("running", [0, 1])
    assert await bench.in_flight() == [0, 1]
    assert await bench.due() == {"w": 30.0}
    fields = await bench.fields()
    assert [fields[name] for name in ("state", "tasks", "items", "batch_size", "next", "generation")] == [
        *("running", "5", "9", "9", "2", "0"),
    ]
    state = await bench.ledger.state(bench.name)
    assert state is not None
    assert (state.remaining, state.in_flight) == (5, 2)


async def test_confirm_clears_the_duty_of_the_first_window(bench: Bench) -> None:
    await bench.claim()
    await bench.begin(tasks=1)
    await bench.confirm(1)
    assert await bench.due() == {"w": 30.0}
    await bench.confirm(0)
    assert await bench.due() == {}


async def test_begin_without_tasks_goes_straight_to_the_reduce(bench: Bench) -> None:
    await bench.claim()
    assert await bench.begin(tasks=0) == ("reducing", [])
    assert await bench.due() == {"r": 30.0}
    fields = await bench.fields()
    assert (fields["state"], fields["outcome"], fields["completed"]) == ("reducing", "done", fields["started"])


async def test_begin_after_a_cancel_releases_nothing(bench: Bench) -> None:
    await bench.claim()
    assert await bench.ledger.control.cancel(bench.name) == ("opening", 0, None, False)
    assert await bench.begin(tasks=3) == ("reducing", [])
    fields = await bench.fields()
    assert (fields["state"], fields["outcome"], fields["reason"]) == (
        *("reducing", "cancelled", "cancelled before it was opened"),
    )
    assert await bench.in_flight() == []
    assert await bench.due() == {"r": 30.0}


@pytest.mark.parametrize(("owner", "generation"), [("another", 0), ("", 0), ("opener", 1)])
async def test_begin_without_the_claim_changes_nothing(bench: Bench, owner: str, generation: int) -> None:
    await bench.claim()
    before = await bench.dump()
    assert await bench.begin(generation, tasks=1, owner=owner) == ("lost", [])
    assert await bench.dump() == before


async def test_begin_twice_changes_nothing(bench: Bench) -> None:
    await bench.open(2)
    before = await bench.dump()
    assert await bench.begin(tasks=2) == ("lost", [])
    assert await bench.begin(tasks=2, owner="") == ("lost", [])
    assert await bench.dump() == before


async def test_begin_of_an_unknown_batch_is_lost(bench: Bench) -> None:
    assert await bench.begin(tasks=1) == ("lost", [])
    assert await bench.fields() == {}


async def test_next_generation_resets_its_counters(bench: Bench) -> None:
    await bench.open(3)
    await bench.fail(0, backoff=50)
    await bench.settle(0, 1, succeeded=0, failed=1)
    await bench.settle(1)
    await bench.settle(2, succeeded=0, failed=1)
    await bench.segment_written(0, generation=0)
    await bench.reduce()
    assert await bench.begin(1, tasks=2, owner="reducer", again=2) == ("running", [0, 1])
    fields = await bench.fields()
    assert {name: fields[name] for name in ("generation", "succeeded", "failed", "retried", "batch_size")} == {
        "generation": "1",
        "succeeded": "1",
        "failed": "0",
        "retried": "3",
        "batch_size": "3",
    }
    assert {name: fields[name] for name in ("items", "tasks", "segments_0", "segments", "pending", "owner")} == {
        "items": "2",
        "tasks": "2",
        "segments_0": "1",
        "segments": "0",
        "pending": "0",
        "owner": "",
    }
    assert await bench.attempts() == {}
    assert (await bench.settle(0, generation=1)).verdict == "settled"


async def test_next_generation_begins_once_and_only_for_the_lease_owner(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1)
    await bench.reduce()
    assert await bench.begin(1, tasks=1, owner="another") == ("lost", [])
    assert await bench.begin(2, tasks=1, owner="reducer") == ("lost", [])
    assert await bench.begin(0, tasks=1, owner="reducer") == ("lost", [])
    assert (await bench.begin(1, tasks=1, owner="reducer"))[0] == "running"
    assert await bench.begin(1, tasks=1, owner="reducer") == ("lost", [])


async def test_delayed_generation_is_released_by_the_sweep_at_its_time(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1)
    await bench.reduce()
    assert await bench.begin(1, tasks=1, owner="reducer", delay=60) == ("running", [])
    assert await bench.due() == {}
    assert (await bench.repair()).release == ()
    await bench.age(not_before=-1)
    assert (await bench.repair()).release == ((0, 0),)
    assert (await bench.repair()).release == ()
