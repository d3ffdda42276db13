"""What people ask of a batch: what each request leaves in its ledger, and what it is refused."""

import pytest

from pipeline.ledger.ledger import End
from tests.rigs.redis.ledger_bench import Bench
from tests.rigs.redis.ledger_states import Made, closing, deleting, ended


async def test_an_end_forgets_its_trouble_and_the_redrive_that_led_to_it(bench: Bench) -> None:
    await ended(bench)
    assert "trouble" not in await bench.fields()
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "redriven"
    await bench.reduce("next")
    assert await bench.ledger.finish(bench.name, "next", 0, End(1, 1)) == "done"
    assert not {"redrive", "trouble"} & (await bench.fields()).keys()


async def test_an_end_asked_for_again_is_told_and_changes_nothing(bench: Bench) -> None:
    await ended(bench)
    before = await bench.dump()
    assert await bench.ledger.finish(bench.name, "reducer", 0, End(0, 2)) == "done"
    assert await bench.ledger.finish(bench.name, "reducer", 1, End(0, 2)) == ""
    assert await bench.dump() == before


@pytest.mark.parametrize("pause", [True, False], ids=["pause", "resume"])
@pytest.mark.parametrize("make", [closing, ended, deleting])
async def test_what_ends_or_has_ended_is_neither_paused_nor_resumed(bench: Bench, make: Made, *, pause: bool) -> None:
    await make(bench)
    if not pause:
        await bench.write(paused="1")
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.hold(bench.name, paused=pause) == state
    assert await bench.dump() == before


async def test_a_pause_that_was_lifted_before_the_batch_began_is_forgotten(bench: Bench) -> None:
    await bench.claim()
    await bench.ledger.control.hold(bench.name, paused=True)
    assert (await bench.fields())["paused"] == "1"
    await bench.ledger.control.hold(bench.name, paused=False)
    assert "paused" not in await bench.fields()
    verdict, released = await bench.begin(tasks=2)
    assert (verdict, released) == ("running", [0, 1])


@pytest.mark.parametrize("make", [ended, deleting])
async def test_what_has_ended_is_not_tuned(bench: Bench, make: Made) -> None:
    await make(bench)
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.tune(bench.name, 7, 3.0) == state
    assert await bench.dump() == before


@pytest.mark.parametrize(("rate", "kept"), [(0.0, None), (5.0, "5.0"), (None, "2.0")])
async def test_a_new_rate_forgets_what_the_old_one_put_off(bench: Bench, rate: float | None, kept: str | None) -> None:
    await bench.open(3)
    await bench.write(rate="2.0", paced_at="1", called_at="1")
    assert await bench.ledger.control.tune(bench.name, 9, rate) == "running"
    fields = await bench.fields()
    assert (fields["window"], fields.get("rate")) == ("9", kept)
    assert {"paced_at", "called_at"} & fields.keys() == ({"paced_at", "called_at"} if rate is None else set())


async def test_a_redrive_begins_without_what_the_end_left_behind(bench: Bench) -> None:
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


async def test_what_cannot_be_redriven_stays_as_it_is(bench: Bench) -> None:
    unknown = await bench.ledger.control.redrive(bench.name)
    assert (unknown.state, unknown.generation, unknown.verdict) == ("", 0, "unknown")
    assert await bench.dump() == {"hash": {}}
    await bench.open(2)
    before = await bench.dump()
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "open"
    assert await bench.dump() == before


async def test_a_redrive_is_under_way_while_its_generation_runs_but_not_in_a_deletion(bench: Bench) -> None:
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
    assert await bench.ledger.finish(bench.name, "last", 1, End(2, 0)) == "done"
    await bench.ledger.control.delete(bench.name, "deleter")
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.verdict) == ("deleting", "open")


async def test_a_generation_that_runs_by_itself_is_no_redrive(bench: Bench) -> None:
    await bench.open(1)
    await bench.settle(0, succeeded=0, failed=1, retryable=1)
    await bench.reduce()
    await bench.begin(1, tasks=1, owner="reducer", again=1)
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.generation, asked.verdict) == ("running", 1, "open")


async def test_what_was_never_opened_is_not_redriven(bench: Bench) -> None:
    await bench.claim()
    assert (await bench.ledger.control.redrive(bench.name)).verdict == "open"
    assert await bench.ledger.abandon(bench.name, "opener", "no such input")
    before = await bench.dump()
    asked = await bench.ledger.control.redrive(bench.name)
    assert (asked.state, asked.generation, asked.verdict) == ("failed", 0, "unopened")
    assert await bench.dump() == before


async def test_a_cancel_hands_out_the_first_segment_and_the_reduce_once(bench: Bench) -> None:
    await bench.open(3, window=1)
    await bench.settle(0)
    await bench.defer([1], 50)
    found = await bench.ledger.control.cancel(bench.name)
    assert (found.state, found.generation, found.segment, found.reduce) == ("running", 0, 0, True)
    again = await bench.ledger.control.cancel(bench.name)
    assert (again.state, again.segment, again.reduce) == ("cancelled", None, False)


async def test_a_cancel_of_what_nothing_has_settled_of_hands_out_no_segment(bench: Bench) -> None:
    await bench.open(2, window=1)
    await bench.defer([0], 50)
    found = await bench.ledger.control.cancel(bench.name)
    assert (found.segment, found.reduce) == (None, True)


async def test_only_the_life_that_is_meant_is_disowned(bench: Bench) -> None:
    await bench.open(2)
    before = await bench.dump()
    await bench.ledger.control.disown(bench.name, "0")
    assert await bench.dump() == before
    await bench.ledger.control.disown(bench.name, (await bench.current(0)).epoch)
    assert await bench.fields() == {}
