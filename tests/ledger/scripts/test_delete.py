"""delete and forget: an ended batch is deleted by one owner at a time."""

import pytest

from tests.rigs.redis.ledger_bench import Bench
from tests.rigs.redis.ledger_states import Made, closing, deleting, ended, opening, paused, reducing


@pytest.mark.parametrize("make", [opening, paused, closing, reducing])
async def test_what_has_not_ended_is_not_deleted_and_stays_as_it_is(bench: Bench, make: Made) -> None:
    await make(bench)
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "other") == ("open", state)
    assert await bench.dump() == before


@pytest.mark.parametrize("state", ["done", "cancelled", "failed"])
async def test_however_it_ended_a_batch_is_deleted(bench: Bench, state: str) -> None:
    await ended(bench)
    await bench.write(state=state)
    assert await bench.ledger.control.delete(bench.name, "other") == ("leased", state)
    assert await bench.state() == "deleting"


async def test_a_deletion_that_is_renewed_is_due_later_and_kept_longer(bench: Bench) -> None:
    await deleting(bench)
    await bench.age_duty("d")
    await bench.write(expire_at=str(int(await bench.now()) + 60))
    assert await bench.ledger.control.delete(bench.name, "deleter", go_on=True) == ("leased", "deleting")
    assert await bench.due() == {"d": 30.0}
    (expiry,) = await bench.expiries()
    assert 6 * 86400 < expiry - await bench.now() <= 7 * 86400 + 1


async def test_a_batch_that_runs_is_not_deleted_and_goes_on(bench: Bench) -> None:
    await bench.open(3, window=1)
    before = await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "other") == ("open", "running")
    assert await bench.dump() == before
    assert (await bench.settle(0)).verdict == "settled"


async def test_a_deletion_is_taken_over_when_its_time_is_up_and_expires_whole(bench: Bench) -> None:
    await deleting(bench)
    assert await bench.due() == {"d": 30.0}
    assert (await bench.repair()).delete is False
    await bench.age_duty("d")
    assert (await bench.repair()).delete is True
    (expiry,) = await bench.expiries()
    assert expiry == int((await bench.fields())["expire_at"])


async def test_a_forgotten_batch_is_deleted_as_one_that_all_scripts_know(bench: Bench) -> None:
    assert await bench.ledger.control.delete(bench.name, "deleter") == ("leased", "")
    fields = await bench.fields()
    assert {name: fields[name] for name in ("state", "schema", "function", "generation")} == {
        "state": "deleting",
        "schema": "1",
        "function": "",
        "generation": "0",
    }
    assert abs(int(fields["epoch"], 16) / 1e6 - await bench.now()) < 600
    assert await bench.ledger.control.delete(bench.name, "deleter") == ("leased", "deleting")


@pytest.mark.parametrize("go_on", [False, True])
async def test_what_another_deletes_is_left_to_it_while_its_lease_lasts(bench: Bench, *, go_on: bool) -> None:
    await deleting(bench)
    before = await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "other", go_on=go_on) == ("held", "deleting")
    assert await bench.ledger.control.forget(bench.name, "other") is False
    assert await bench.dump() == before
    await bench.age(lease_until=-1)
    assert await bench.ledger.control.delete(bench.name, "other", go_on=go_on) == ("leased", "deleting")
    assert await bench.ledger.control.delete(bench.name, "deleter", go_on=True) == ("held", "deleting")
    assert await bench.ledger.control.forget(bench.name, "deleter") is False
    assert await bench.ledger.control.forget(bench.name, "other") is True
    assert await bench.fields() == {}


@pytest.mark.parametrize("make", [ended, opening, reducing])
async def test_no_deletion_is_gone_on_with_where_none_began(bench: Bench, make: Made) -> None:
    assert await bench.ledger.control.delete(bench.name, "deleter", go_on=True) == ("gone", "")
    await make(bench)
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "reducer", go_on=True) == ("gone", state)
    assert await bench.ledger.control.forget(bench.name, "reducer") is False
    assert await bench.dump() == before
