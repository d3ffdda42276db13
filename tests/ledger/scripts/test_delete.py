"""delete and forget: one owner at a time deletes an ended batch."""

import pytest

from tests.rigs.redis.ledger_bench import Bench
from tests.rigs.redis.ledger_states import Made, closing, deleting, ended, opening, paused, reducing


@pytest.mark.parametrize("make", [opening, paused, closing, reducing])
async def test_delete_of_a_batch_that_has_not_ended_changes_nothing(bench: Bench, make: Made) -> None:
    await make(bench)
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "other") == ("open", state)
    assert await bench.dump() == before


@pytest.mark.parametrize("state", ["done", "cancelled", "failed"])
async def test_ended_batch_can_be_deleted_from_any_final_state(bench: Bench, state: str) -> None:
    await ended(bench)
    await bench.write(state=state)
    assert await bench.ledger.control.delete(bench.name, "other") == ("leased", state)
    assert await bench.state() == "deleting"


async def test_renewed_deletion_is_due_later_and_expires_later(bench: Bench) -> None:
    await deleting(bench)
    await bench.age_duty("d")
    await bench.write(expire_at=str(int(await bench.now()) + 60))
    assert await bench.ledger.control.delete(bench.name, "deleter", go_on=True) == ("leased", "deleting")
    assert await bench.due() == {"d": 30.0}
    (expiry,) = await bench.expiries()
    assert 6 * 86400 < expiry - await bench.now() <= 7 * 86400 + 1


async def test_delete_of_a_running_batch_leaves_it_running(bench: Bench) -> None:
    await bench.open(3, window=1)
    before = await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "other") == ("open", "running")
    assert await bench.dump() == before
    assert (await bench.settle(0)).verdict == "settled"


async def test_overdue_deletion_is_taken_over_by_the_sweep(bench: Bench) -> None:
    await deleting(bench)
    assert await bench.due() == {"d": 30.0}
    assert (await bench.repair()).delete is False
    await bench.age_duty("d")
    assert (await bench.repair()).delete is True
    (expiry,) = await bench.expiries()
    assert expiry == int((await bench.fields())["expire_at"])


async def test_delete_of_a_forgotten_batch_writes_a_complete_hash(bench: Bench) -> None:
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
async def test_deletion_belongs_to_one_owner_until_its_lease_expires(bench: Bench, *, go_on: bool) -> None:
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
async def test_delete_go_on_without_a_deletion_changes_nothing(bench: Bench, make: Made) -> None:
    assert await bench.ledger.control.delete(bench.name, "deleter", go_on=True) == ("gone", "")
    await make(bench)
    state, before = await bench.state(), await bench.dump()
    assert await bench.ledger.control.delete(bench.name, "reducer", go_on=True) == ("gone", state)
    assert await bench.ledger.control.forget(bench.name, "reducer") is False
    assert await bench.dump() == before


async def test_renewal_of_a_deletion_takes_none_over(bench: Bench) -> None:
    """The id may have been free since, and another batch's, which is being deleted now."""
    control = bench.ledger.control
    await control.delete(bench.name, "stalled")
    await bench.age(lease_until=-1)
    assert (await control.delete(bench.name, "heir", go_on=True)).verdict == "leased"
    await bench.age(lease_until=-1)
    before = await bench.dump()
    assert (await control.delete(bench.name, "stalled", renewal=True)).verdict == "held"
    assert not await control.forget(bench.name, "stalled")
    assert await bench.dump() == before
    assert (await control.delete(bench.name, "heir", renewal=True)).verdict == "leased"
    assert await control.forget(bench.name, "heir")
    assert (await control.delete(bench.name, "stalled", renewal=True)).verdict == "gone"
