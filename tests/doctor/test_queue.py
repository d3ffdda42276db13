"""doctor and probe: a message that is really queued, and a callback that really comes home, or does not."""

from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.doctor import queue
from pipeline.errors import ForbiddenError
from pipeline.identity import Identity, Purpose
from pipeline.ledger.probe import PROBE_TTL
from pipeline.request import PROBE_PATH
from tests.rigs.function.doctors import QUEUE, Doctor, bring, carry, lose
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document, query_of
from tests.rigs.openfaas.fake_gateway import Message

IDENTITY = Identity("a-probe", 0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for what does not come."""
    monkeypatch.setattr(queue, "PATIENCE", 0.3)


async def test_the_message_carries_no_secret_and_its_probe_has_an_end(doctor: Doctor, redis: Redis) -> None:
    seen: list[tuple[Message, list[Any], list[int]]] = []

    async def look(pipeline: PipelineBench, message: Message) -> None:
        keys = await redis.keys(f"{pipeline.name}:doctor:{{{message.query['batch']}}}:*")
        seen.append((message, keys, [await redis.ttl(key) for key in keys]))
        await carry(pipeline, message)

    await doctor.examine(look)
    ((message, keys, lives),) = seen
    assert set(message.query) == {"batch", "generation", "task", "attempt", "epoch", "key", "sig"}
    assert {name.lower() for name in message.headers} >= {"x-mode", "x-call-id", "x-callback-url"}
    assert "hidden" not in str(message)
    assert len(keys) == 2
    assert all(0 < life <= PROBE_TTL for life in lives)


@pytest.mark.usefixtures("impatient")
async def test_a_queue_that_does_not_deliver_has_failed(doctor: Doctor) -> None:
    check = (await doctor.examine(lose))[QUEUE]
    assert (check.status, check.found) == ("failed", "the message did not arrive within 0.3 s")
    assert "the queue-worker is down (see its log), or many messages were queued before" in check.advice


@pytest.mark.usefixtures("impatient")
async def test_behind_other_work_it_may_only_be_late(doctor: Doctor) -> None:
    await doctor.pipeline.submit(b"url\na\n", CSV)
    check = (await doctor.examine(lose))[QUEUE]
    assert (check.status, check.found) == ("warning", "the message did not arrive within 0.3 s, while batches are open")


@pytest.mark.usefixtures("impatient")
async def test_a_callback_that_does_not_come_is_a_warning(doctor: Doctor) -> None:
    async def invoke_only(pipeline: PipelineBench, message: Message) -> None:
        await pipeline.handle(message.mode, message.query)

    check = (await doctor.examine(invoke_only))[QUEUE]
    assert (check.status, check.found) == ("warning", "the message arrived, and its callback did not within 0.3 s")
    assert "gateway_url must be right for the queue-worker too; max_inflight" in check.advice


@pytest.mark.parametrize(("given", "said"), [(404, "404"), (42, "none")])
async def test_a_function_that_the_worker_does_not_reach_has_failed(doctor: Doctor, given: int, said: str) -> None:
    async def answer(pipeline: PipelineBench, message: Message) -> None:
        await bring(pipeline, message, given)

    check = (await doctor.examine(answer))[QUEUE]
    assert (check.status, check.found) == (
        *("failed", f"the callback came, and says that the call was answered {said}"),
    )
    assert "function_name" in check.advice


async def test_a_queue_that_takes_nothing_has_failed(doctor: Doctor) -> None:
    doctor.pipeline.gateway.refusals[doctor.pipeline.name] += [500]
    check = (await doctor.examine())[QUEUE]
    assert (check.status, check.found) == ("failed", "the gateway refused a message with 500")


async def test_what_nobody_waits_for_is_not_noted(pipeline: PipelineBench, redis: Redis) -> None:
    signed: dict[Purpose, str] = {"probe": "/", "probe callback": PROBE_PATH}
    for purpose, path in signed.items():
        answer = await pipeline.handle("probe", pipeline.signed(purpose, IDENTITY), path=path)
        assert document(answer) == {"verdict": "unknown"}
    assert await redis.keys(f"{pipeline.name}:*") == []


async def test_what_is_noted_has_an_end_too(pipeline: PipelineBench, redis: Redis) -> None:
    await pipeline.context.ledger.probes.begin(IDENTITY.batch)
    answer = await pipeline.handle("probe", pipeline.signed("probe", IDENTITY))
    assert document(answer) == {"verdict": "noted"}
    assert await pipeline.context.ledger.probes.seen(IDENTITY.batch) == {"invoked": "200"}
    assert [0 < await redis.ttl(key) <= PROBE_TTL for key in await redis.keys(f"{pipeline.name}:*")] == [True] * 2


async def test_a_probe_that_comes_too_late_is_not_noted(doctor: Doctor, redis: Redis) -> None:
    kept: list[Message] = []

    async def keep(pipeline: PipelineBench, message: Message) -> None:
        kept.append(message)
        await carry(pipeline, message)

    await doctor.examine(keep)
    pipeline, (message,) = doctor.pipeline, kept
    assert document(await pipeline.handle("probe", message.query)) == {"verdict": "unknown"}
    callback = query_of(message.headers["X-Callback-Url"])
    assert document(await pipeline.handle("", callback, path=PROBE_PATH)) == {"verdict": "unknown"}
    assert await redis.keys(f"{pipeline.name}:*") == []


@pytest.mark.parametrize(
    ("purpose", "path"),
    [
        *[(purpose, PROBE_PATH) for purpose in ("probe", "callback", "direct callback", "task", "reduce", "open")],
        *[(purpose, "/") for purpose in ("probe callback", "callback", "task", "reduce", "open", "answer")],
    ],
)
async def test_a_probe_takes_no_signature_of_another_purpose(
    pipeline: PipelineBench, redis: Redis, purpose: Purpose, path: str
) -> None:
    await pipeline.context.ledger.probes.begin(IDENTITY.batch)
    with pytest.raises(ForbiddenError):
        await pipeline.handle("probe", pipeline.signed(purpose, IDENTITY), path=path)
    assert await pipeline.context.ledger.probes.seen(IDENTITY.batch) == {}
    assert len(await redis.keys(f"{pipeline.name}:*")) == 2


@pytest.mark.parametrize("change", [{"batch": "another"}, {"sig": "0" * 64}, {"epoch": "1"}, {"task": "1"}])
@pytest.mark.parametrize("path", ["/", PROBE_PATH])
async def test_a_probe_that_was_changed_is_refused(
    pipeline: PipelineBench, change: Mapping[str, str], path: str
) -> None:
    await pipeline.context.ledger.probes.begin("another")
    signed = pipeline.signed("probe callback" if path == PROBE_PATH else "probe", IDENTITY)
    with pytest.raises(ForbiddenError):
        await pipeline.handle("probe", {**signed, **change}, path=path)
    assert await pipeline.context.ledger.probes.seen("another") == {}


async def test_a_probe_serves_for_nothing_else(pipeline: PipelineBench) -> None:
    for mode in ("task", "reduce", "open"):
        with pytest.raises(ForbiddenError):
            await pipeline.handle(mode, pipeline.signed("probe", IDENTITY))
    for path in ("/collect", "/collect/direct"):
        with pytest.raises(ForbiddenError):
            await pipeline.handle("", pipeline.signed("probe callback", IDENTITY), path=path)
