"""claim and abandon: only one opening at a time owns an id."""

import msgspec
import pytest

from tests.rigs.redis.ledger_bench import Bench, submission


async def test_new_id_is_claimed_and_its_opening_becomes_due(bench: Bench) -> None:
    assert await bench.claim() == "claimed"
    fields = await bench.fields()
    assert [fields[name] for name in ("schema", "state", "owner", "window", "function")] == [
        *("1", "opening", "opener", "128", "model"),
    ]
    assert await bench.due() == {"o": 60.0}


async def test_claim_is_renewed_by_its_owner_only(bench: Bench) -> None:
    await bench.claim()
    await bench.age(lease_until=20)
    await bench.age_duty("o", 20)
    assert await bench.claim("another") == "exists"
    assert await bench.due() == {"o": 20.0}
    assert await bench.claim() == "claimed"
    assert await bench.due() == {"o": 60.0}


@pytest.mark.parametrize(("etag", "chunk"), [("changed", 1), ("etag", 2)], ids=["another input", "another spec"])
@pytest.mark.parametrize("opened", [False, True])
async def test_claim_with_another_submission_is_a_conflict(
    bench: Bench, etag: str, chunk: int, *, opened: bool
) -> None:
    if opened:
        await bench.open(1)
    else:
        await bench.claim()
    before = await bench.dump()
    assert await bench.claim(etag=etag, chunk=chunk) == "conflict"
    assert await bench.dump() == before


async def test_expired_claim_is_taken_over_and_its_old_owner_cannot_begin(bench: Bench) -> None:
    await bench.claim("dead")
    await bench.age(lease_until=-1)
    assert await bench.claim("heir") == "claimed"
    assert await bench.begin(tasks=1, owner="dead") == ("lost", [])
    assert await bench.begin(tasks=1, owner="heir") == ("running", [0])


async def test_open_batch_exists_after_its_claim_expired(bench: Bench) -> None:
    await bench.open(1)
    await bench.age(lease_until=-1)
    before = await bench.dump()
    assert await bench.claim() == "exists"
    assert await bench.claim("queued", queued=True) == "exists"
    assert await bench.dump() == before


async def test_queued_opening_takes_over_a_handed_on_claim_once(bench: Bench) -> None:
    assert await bench.claim("submitter", hand_on=True) == "claimed"
    assert await bench.claim("another", hand_on=True) == "exists"
    assert await bench.claim("first", queued=True) == "claimed"
    assert await bench.claim("second", queued=True) == "exists"
    assert (await bench.fields())["owner"] == "first"


async def test_queued_opening_waits_until_the_submitters_claim_expires(bench: Bench) -> None:
    await bench.claim("submitter")
    assert await bench.claim("queued", queued=True) == "exists"
    await bench.age(lease_until=-1)
    assert await bench.claim("queued", queued=True) == "claimed"


async def test_queued_opening_of_an_unknown_batch_creates_nothing(bench: Bench) -> None:
    assert await bench.claim("queued", queued=True) == "unknown"
    assert await bench.fields() == {}


async def test_abandon_without_a_reason_frees_the_id(bench: Bench) -> None:
    await bench.claim()
    assert not await bench.ledger.abandon(bench.name, "another")
    assert await bench.ledger.abandon(bench.name, "opener")
    assert await bench.ledger.state(bench.name) is None
    assert await bench.claim("next", etag="another") == "claimed"


async def test_abandon_with_a_reason_fails_the_batch(bench: Bench) -> None:
    await bench.claim()
    assert await bench.ledger.abandon(bench.name, "opener", "no UTF-8")
    fields = await bench.fields()
    assert (fields["state"], fields["reason"]) == ("failed", "no UTF-8")
    assert await bench.due() == {}
    assert await bench.claim() == "exists"


async def test_expired_claim_is_abandoned_by_the_queue_only(bench: Bench) -> None:
    await bench.claim("dead")
    assert not await bench.ledger.abandon(bench.name, "", "no specification")
    await bench.age(lease_until=-1)
    assert not await bench.ledger.abandon(bench.name, "another", "no specification")
    assert await bench.ledger.abandon(bench.name, "", "no specification")
    assert await bench.state() == "failed"


async def test_running_batch_cannot_be_abandoned(bench: Bench) -> None:
    await bench.open(1)
    await bench.age(lease_until=-1)
    before = await bench.dump()
    for owner in ("opener", ""):
        assert not await bench.ledger.abandon(bench.name, owner, "too late")
    assert await bench.dump() == before


async def test_all_keys_of_a_batch_expire_at_the_same_time(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.settle(0)
    await bench.fail(1)
    (expiry,) = await bench.expiries()
    assert expiry == int((await bench.fields())["expire_at"])
    assert 7 * 86400 < expiry - await bench.now() <= 8 * 86400 + 1


async def test_claimed_batch_has_no_tasks_yet(bench: Bench) -> None:
    await bench.claim()
    state = await bench.ledger.state(bench.name)
    assert state is not None
    assert (state.in_flight, state.remaining) == (0, 0)


@pytest.mark.parametrize(("asked", "kept"), [({}, "5.0"), ({"rate": "2"}, "2"), ({"rate": "0"}, None)])
async def test_claim_takes_the_last_tuned_rate(bench: Bench, asked: dict[str, str], kept: str | None) -> None:
    given = submission()
    rated = msgspec.structs.replace(given, fields={**given.fields, "rate": 5})
    await bench.ledger.claim(bench.name, "opener", rated, requested=asked)
    assert (await bench.fields()).get("rate") == kept


async def test_renewal_of_a_claim_takes_none_over(bench: Bench) -> None:
    await bench.claim("stalled")
    await bench.age(lease_until=-1)
    assert await bench.claim("heir", queued=True) == "claimed"
    await bench.age(lease_until=-1)
    before = await bench.dump()
    renewed = await bench.ledger.claim(bench.name, "stalled", submission(), kind="renewed")
    assert renewed.verdict == "exists"
    assert await bench.dump() == before
    assert (await bench.ledger.claim(bench.name, "heir", submission(), kind="renewed")).verdict == "claimed"
