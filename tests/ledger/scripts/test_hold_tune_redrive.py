"""Requests to a batch (pause, resume, tune, redrive, cancel): what they change in its ledger, and when they fail."""

import pytest

from pipeline.ledger.arguments import Published
from tests.rigs.redis.ledger_bench import Bench
from tests.rigs.redis.ledger_states import Made, closing, deleting, ended


async def test_finish_clears_the_trouble_and_the_redrive_mark(bench: Bench) -> None:
    await ended(bench)
    assert "trouble" not in await bench.fields()
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "redriven"
    await bench.reduce("next")
    assert await bench.ledger.finish(bench.name, "next", 0, Published(1, 1)) == "done"
    assert not {"redrive", "trouble"} & (await bench.fields()).keys()


async def test_second_finish_returns_the_state_and_changes_nothing(bench: Bench) -> None:
    await ended(bench)
    before = await bench.dump()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 2)) == "done"
    assert await bench.ledger.finish(bench.name, "reducer", 1, Published(0, 2)) == ""
    assert await bench.dump() == before


@pytest.mark.parametrize("pause", [True, False], ids=["pause", "resume"])
@pytest.mark.parametrize("make", [closing, ended, deleting])
async def test_closing_or_ended_batch_cannot_be_paused_or_resumed(bench: Bench, make: Made, *, pause: bool) -> None:
    await make(bench)
    if not pause:
        await bench.write(paused="1")
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.hold(bench.name, paused=pause) == state
    assert await bench.dump() == before


async def test_pause_lifted_before_begin_leaves_the_batch_running(bench: Bench) -> None:
    await bench.claim()
    await bench.ledger.control.hold(bench.name, paused=True)
    assert (await bench.fields())["paused"] == "1"
    await bench.ledger.control.hold(bench.name, paused=False)
    assert "paused" not in await bench.fields()
    verdict, released = await bench.begin(tasks=2)
    assert (verdict, released) == ("running", [0, 1])


@pytest.mark.parametrize("make", [ended, deleting])
async def test_ended_batch_cannot_be_tuned(bench: Bench, make: Made) -> None:
    await make(bench)
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.tune(bench.name, 7, 3.0) == state
    assert await bench.dump() == before


@pytest.mark.parametrize(("rate", "kept"), [(0.0, None), (5.0, "5.0"), (None, "2.0")])
async def test_new_rate_clears_the_pacing_of_the_old_rate(bench: Bench, rate: float | None, kept: str | None) -> None:
    await bench.open(3)
    await bench.write(rate="2.0", paced_at="1", called_at="1")
    assert await bench.ledger.control.tune(bench.name, 9, rate) == "running"
    fields = await bench.fields()
    assert (fields["window"], fields.get("rate")) == ("9", kept)
    assert {"paced_at", "called_at"} & fields.keys() == ({"paced_at", "called_at"} if rate is None else set())


async def test_redrive_clears_the_fields_of_the_last_end(bench: Bench) -> None:
    await ended(bench)
    await bench.write(cancel="1", paused="1", trouble="old", owner="reducer")
    await bench.age(ended=-500)
    expiry = int((await bench.fields())["expire_at"])
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.generation, asked.verdict) == ("done", 0, "redriven")
    fields = await bench.fields()
    assert (fields["state"], fields["redrive"], fields["owner"]) == ("reducing", "1", "")
    assert not {"cancel", "paused", "trouble", "ended"} & fields.keys()
    assert int(fields["expire_at"]) - expiry in range(500, 600)
    assert (await bench.due())["r"] == 30.0
    again = await bench.ledger.control.redrive(bench.name)
    assert (again.state, again.verdict) == ("reducing", "under way")


async def test_redrive_of_an_unknown_or_open_batch_changes_nothing(bench: Bench) -> None:
    unknown = await bench.ledger.control.redrive(bench.name)
    assert (unknown.state, unknown.generation, unknown.verdict) == ("", 0, "unknown")
    assert await bench.dump() == {"hash": {}}
    await bench.open(2)
    before = await bench.dump()
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "open"
    assert await bench.dump() == before


async def test_redrive_is_under_way_while_its_generation_runs(bench: Bench) -> None:
    await ended(bench)
    await bench.ledger.control.redrive(bench.name)
    await bench.reduce("next")
    assert (await bench.begin(1, tasks=1, owner="next", again=1))[0] == "running"
    before = await bench.dump()
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.generation, asked.verdict) == ("running", 1, "under way")
    assert await bench.dump() == before
    await bench.settle(0, generation=1)
    await bench.reduce("last", 1)
    assert await bench.ledger.finish(bench.name, "last", 1, Published(2, 0)) == "done"
    await bench.ledger.control.delete(bench.name, "deleter")
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.verdict) == ("deleting", "open")


async def test_automatic_next_generation_is_not_a_redrive(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1, retryable=1)
    await bench.reduce()
    await bench.begin(1, tasks=1, owner="reducer", again=1)
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.generation, asked.verdict) == ("running", 1, "open")


async def test_batch_that_never_opened_cannot_be_redriven(bench: Bench) -> None:
    await bench.claim()
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "open"
    assert await bench.ledger.abandon(bench.name, "opener", "no such input")
    before = await bench.dump()
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.generation, asked.verdict) == ("failed", 0, "unopened")
    assert await bench.dump() == before


async def test_cancel_returns_the_first_segment_and_the_reduce_once(bench: Bench) -> None:
    await bench.open(3, window=1)
    await bench.settle(0)
    await bench.defer([1], 50)
    found = await bench.ledger.control.cancel(bench.name)
    assert (found.state, found.generation, found.segment, found.reduce) == ("running", 0, 0, True)
    again = await bench.ledger.control.cancel(bench.name)
    assert (again.state, again.segment, again.reduce) == ("cancelled", None, False)


async def test_cancel_before_any_settle_returns_no_segment(bench: Bench) -> None:
    await bench.open(2, window=1)
    await bench.defer([0], 50)
    found = await bench.ledger.control.cancel(bench.name)
    assert (found.segment, found.reduce) == (None, True)


async def test_disown_deletes_only_the_given_epoch(bench: Bench) -> None:
    await bench.open(2)
    before = await bench.dump()
    await bench.ledger.control.disown(bench.name, "0")
    assert await bench.dump() == before
    await bench.ledger.control.disown(bench.name, (await bench.current(0)).epoch)
    assert await bench.fields() == {}
