"""restore: the state of a rebuilt ledger follows from the requests to the batch and from its failures."""

from collections.abc import Mapping

import pytest

from tests.rigs.redis.ledger_bench import Bench

FAILED = ("reducing", "failed", "3 items failed, and 2 are tolerated")
CANCELLED = ("reducing", "cancelled", "cancelled on request")
REDUCED = ("reducing", "done", None)
ASKED: tuple[tuple[tuple[str, ...], int, int, tuple[str, str, str | None]], ...] = (
    ((), 2, 2, ("running", "done", None)),
    ((), 3, 2, FAILED),
    ((), 2, 0, REDUCED),
    (("paused",), 2, 2, ("paused", "done", None)),
    (("paused",), 3, 2, FAILED),
    (("paused",), 2, 0, REDUCED),
    (("redrive",), 2, 2, REDUCED),
    (("redrive",), 3, 2, REDUCED),
    (("redrive", "paused"), 3, 2, REDUCED),
    (("cancel",), 2, 2, CANCELLED),
    (("cancel",), 3, 2, CANCELLED),
    (("cancel", "paused"), 2, 2, CANCELLED),
    (("cancel", "redrive"), 2, 2, CANCELLED),
)


def case(value: object) -> str | None:
    """Name a row of the table by what was asked."""
    return ("-".join(map(str, value)) or "nothing asked") if isinstance(value, tuple) else None


async def restore(
    bench: Bench, fields: Mapping[str, str], *, owner: str = "opener", settled: bytes = b"\xa0", remaining: int = 2
) -> str:
    """Rebuild a batch of four tasks, of which the first and the third are settled, unless said otherwise."""
    deadline = str(int((await bench.now() + 3600) * 1e6))
    given = {"deadline_at": deadline, "items": "4", "calls": "1", **fields}
    return await bench.ledger.restore(bench.name, owner, given, settled, 4, remaining)


@pytest.mark.parametrize(("asked", "given_up", "remaining", "expected"), ASKED, ids=case)
async def test_restored_state_follows_the_requests_and_then_the_failures(
    bench: Bench, asked: tuple[str, ...], given_up: int, remaining: int, expected: tuple[str, str, str | None]
) -> None:
    await bench.claim()
    marks = dict.fromkeys(asked, "1")
    verdict = await restore(bench, {"given_up": str(given_up), "tolerated": "2", **marks}, remaining=remaining)
    fields = await bench.fields()
    assert (verdict, fields["outcome"], fields.get("reason")) == expected
    assert fields["state"] == verdict
    assert {name: fields[name] for name in asked} == marks
    repairs = await bench.repair()
    assert (repairs.reduce, repairs.open) == (verdict == "reducing", False)
    assert await bench.due() == ({"r": 30.0} if verdict == "reducing" else {})


async def test_restore_without_a_limit_tolerates_any_number_of_failures(bench: Bench) -> None:
    await bench.claim()
    assert await restore(bench, {"given_up": "1000"}) == "running"


async def test_restored_batch_runs_only_unsettled_tasks(bench: Bench) -> None:
    await bench.claim()
    assert await restore(bench, {}) == "running"
    assert (await bench.repair()).release == ((1, 0), (3, 0))
    assert (await bench.settle(2)).verdict == "duplicate"
    assert (await bench.settle(3)).reduce is False
    assert (await bench.settle(1)).reduce is True


async def test_restore_resets_the_fields_of_an_earlier_opening(bench: Bench) -> None:
    await bench.claim()
    await bench.write(trouble="S3 was away", paced_at="1", next="3", trimmed="7", cut="9")
    await bench.redis.rpush(bench.key("outcomes"), "old")
    assert await restore(bench, {}) == "running"
    fields = await bench.fields()
    assert not {"trouble", "paced_at"} & fields.keys()
    assert [fields[name] for name in ("next", "trimmed", "cut")] == ["0", "0", "0"]
    assert await bench.redis.exists(bench.key("outcomes")) == 0


async def test_restore_without_the_claim_or_twice_is_lost(bench: Bench) -> None:
    await bench.claim()
    before = await bench.dump()
    assert await restore(bench, {"given_up": "1"}, owner="another") == "lost"
    assert await bench.dump() == before
    assert await restore(bench, {}) == "running"
    await bench.write(owner="opener")
    before = await bench.dump()
    assert await restore(bench, {"given_up": "1"}) == "lost"
    assert await bench.dump() == before
