"""claim and abandon: an id belongs to one opening at a time."""

import msgspec
import pytest

from tests.rigs.redis.ledger_bench import Bench, submission


async def test_a_fresh_id_is_claimed_and_takes_the_duty_to_open(bench: Bench) -> None:
    assert await bench.claim() == "claimed"
    fields = await bench.fields()
    assert [fields[name] for name in ("schema", "state", "owner", "window", "function")] == [
        *("1", "opening", "opener", "128", "model"),
    ]
    assert await bench.due() == {"o": 60.0}


async def test_a_claim_is_renewed_by_its_owner_alone(bench: Bench) -> None:
    await bench.claim()
    await bench.age(lease_until=20)
    await bench.age_duty("o", 20)
    assert await bench.claim("another") == "exists"
    assert await bench.due() == {"o": 20.0}
    assert await bench.claim() == "claimed"
    assert await bench.due() == {"o": 60.0}


@pytest.mark.parametrize(("etag", "chunk"), [("changed", 1), ("etag", 2)], ids=["another input", "another spec"])
@pytest.mark.parametrize("opened", [False, True])
async def test_another_submission_of_an_id_conflicts(bench: Bench, etag: str, chunk: int, *, opened: bool) -> None:
    if opened:
        await bench.open(1)
    else:
        await bench.claim()
    before = await bench.dump()
    assert await bench.claim(etag=etag, chunk=chunk) == "conflict"
    assert await bench.dump() == before


async def test_an_expired_claim_is_taken_over_and_its_owner_can_no_longer_begin(bench: Bench) -> None:
    await bench.claim("dead")
    await bench.age(lease_until=-1)
    assert await bench.claim("heir") == "claimed"
    assert await bench.begin(tasks=1, owner="dead") == ("lost", [])
    assert await bench.begin(tasks=1, owner="heir") == ("running", [0])


async def test_an_open_batch_exists_even_after_its_claim_would_have_expired(bench: Bench) -> None:
    await bench.open(1)
    await bench.age(lease_until=-1)
    before = await bench.dump()
    assert await bench.claim() == "exists"
    assert await bench.claim("queued", queued=True) == "exists"
    assert await bench.dump() == before


async def test_a_queued_opening_takes_over_a_claim_left_to_it_and_a_second_one_finds_it_taken(bench: Bench) -> None:
    assert await bench.claim("submitter", hand_on=True) == "claimed"
    assert await bench.claim("another", hand_on=True) == "exists"
    assert await bench.claim("first", queued=True) == "claimed"
    assert await bench.claim("second", queued=True) == "exists"
    assert (await bench.fields())["owner"] == "first"


async def test_a_queued_opening_waits_for_a_submitter_that_still_opens(bench: Bench) -> None:
    await bench.claim("submitter")
    assert await bench.claim("queued", queued=True) == "exists"
    await bench.age(lease_until=-1)
    assert await bench.claim("queued", queued=True) == "claimed"


async def test_a_queued_opening_of_a_batch_that_is_gone_creates_nothing(bench: Bench) -> None:
    assert await bench.claim("queued", queued=True) == "unknown"
    assert await bench.fields() == {}


async def test_abandoned_without_a_reason_the_id_is_free_again(bench: Bench) -> None:
    await bench.claim()
    assert not await bench.ledger.abandon(bench.name, "another")
    assert await bench.ledger.abandon(bench.name, "opener")
    assert await bench.ledger.state(bench.name) is None
    assert await bench.claim("next", etag="another") == "claimed"


async def test_abandoned_with_a_reason_the_batch_has_failed(bench: Bench) -> None:
    await bench.claim()
    assert await bench.ledger.abandon(bench.name, "opener", "no UTF-8")
    fields = await bench.fields()
    assert (fields["state"], fields["reason"]) == ("failed", "no UTF-8")
    assert await bench.due() == {}
    assert await bench.claim() == "exists"


async def test_an_expired_claim_is_given_up_by_the_queue_and_by_no_other_owner(bench: Bench) -> None:
    await bench.claim("dead")
    assert not await bench.ledger.abandon(bench.name, "", "no specification")
    await bench.age(lease_until=-1)
    assert not await bench.ledger.abandon(bench.name, "another", "no specification")
    assert await bench.ledger.abandon(bench.name, "", "no specification")
    assert await bench.state() == "failed"


async def test_a_batch_that_runs_cannot_be_abandoned(bench: Bench) -> None:
    await bench.open(1)
    await bench.age(lease_until=-1)
    before = await bench.dump()
    for owner in ("opener", ""):
        assert not await bench.ledger.abandon(bench.name, owner, "too late")
    assert await bench.dump() == before


async def test_every_key_of_a_batch_expires_at_one_time(bench: Bench) -> None:
    await bench.open(3, window=2)
    await bench.settle(0)
    await bench.fail(1)
    (expiry,) = await bench.expiries()
    assert expiry == int((await bench.fields())["expire_at"])
    assert 7 * 86400 < expiry - await bench.now() <= 8 * 86400 + 1


async def test_a_claim_has_no_work_yet(bench: Bench) -> None:
    await bench.claim()
    state = await bench.ledger.state(bench.name)
    assert state is not None
    assert (state.in_flight, state.remaining) == (0, 0)


@pytest.mark.parametrize(("asked", "kept"), [({}, "5.0"), ({"rate": "2"}, "2"), ({"rate": "0"}, None)])
async def test_the_rate_of_a_forgotten_batch_is_the_one_last_asked_for(
    bench: Bench, asked: dict[str, str], kept: str | None
) -> None:
    given = submission()
    rated = msgspec.structs.replace(given, fields={**given.fields, "rate": 5})
    await bench.ledger.claim(bench.name, "opener", rated, asked=asked)
    assert (await bench.fields()).get("rate") == kept
