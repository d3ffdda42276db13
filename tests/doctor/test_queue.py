"""doctor and probe: a real message in the queue, and its callback, or their absence."""

from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.doctor import queue
from pipeline.errors import ForbiddenError
from pipeline.identity import Identity, Purpose
from pipeline.ledger.probe import PROBE_TTL
from pipeline.request import PROBE_PATH
from tests.rigs.function.doctor import QUEUE, Doctor, call_back, deliver, lose
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document, query_of
from tests.rigs.openfaas.fake_gateway import Message

IDENTITY = Identity("a-probe", 0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only shortly for a message that does not come."""
    monkeypatch.setattr(queue, "PATIENCE", 0.3)


async def test_probe_message_has_no_secret_and_its_keys_expire(doctor: Doctor, redis: Redis) -> None:
    seen: list[tuple[Message, list[Any], list[int]]] = []

    async def look(pipeline: PipelineBench, message: Message) -> None:
        keys = await redis.keys(f"{pipeline.name}:doctor:{{{message.query['batch']}}}:*")
        seen.append((message, keys, [await redis.ttl(key) for key in keys]))
        await deliver(pipeline, message)

    await doctor.examine(look)
    ((message, keys, lives),) = seen
    assert set(message.query) == {"batch", "generation", "task", "attempt", "epoch", "key", "sig"}
    assert {name.lower() for name in message.headers} >= {"x-mode", "x-call-id", "x-callback-url"}
    assert "hidden" not in str(message)
    assert len(keys) == 2
    assert all(0 < life <= PROBE_TTL for life in lives)


@pytest.mark.usefixtures("impatient")
async def test_queue_that_does_not_deliver_fails(doctor: Doctor) -> None:
    check = (await doctor.examine(lose))[QUEUE]
    assert (check.status, check.found) == ("failed", "the message did not arrive within 0.3 s")
    assert "the queue-worker is down (see its log), or many messages were queued before" in check.advice


@pytest.mark.usefixtures("impatient")
async def test_late_message_while_batches_are_open_is_a_warning(doctor: Doctor) -> None:
    await doctor.pipeline.submit(b"url\na\n", CSV)
    check = (await doctor.examine(lose))[QUEUE]
    assert (check.status, check.found) == ("warning", "the message did not arrive within 0.3 s, while batches are open")


@pytest.mark.usefixtures("impatient")
async def test_missing_callback_is_a_warning(doctor: Doctor) -> None:
    async def invoke_only(pipeline: PipelineBench, message: Message) -> None:
        await pipeline.handle(message.mode, message.query)

    check = (await doctor.examine(invoke_only))[QUEUE]
    assert (check.status, check.found) == ("warning", "the message arrived, and its callback did not within 0.3 s")
    assert "gateway_url must be right for the queue-worker too, and its host among those" in check.advice


@pytest.mark.parametrize(("given", "said"), [(404, "404"), (42, "none")])
async def test_function_unreachable_for_the_queue_worker_fails(doctor: Doctor, given: int, said: str) -> None:
    async def answer(pipeline: PipelineBench, message: Message) -> None:
        await call_back(pipeline, message, given)

    check = (await doctor.examine(answer))[QUEUE]
    assert (check.status, check.found) == (
        *("failed", f"the callback came, and says that the call was answered {said}"),
    )
    assert "function_name" in check.advice


@pytest.mark.parametrize(
    ("pro", "retry_max", "status", "advice"),
    [
        (False, "", "ok", ""),
        (False, "100", "warning", "set openfaas_pro to true"),
        (True, "0", "ok", ""),
        (True, "100", "warning", "repeats its messages up to 100 times, and the pipeline does so itself"),
        (True, "", "warning", "a lost direct call is only found 17000 s later"),
        (True, "many", "warning", "set openfaas_pro to false"),
    ],
)
async def test_retries_of_the_queue_worker_are_seen_in_its_callback(
    doctor: Doctor, retry_max: str, status: str, advice: str, *, pro: bool
) -> None:
    async def answer(pipeline: PipelineBench, message: Message) -> None:
        await pipeline.handle(message.mode, message.query)
        await call_back(pipeline, message, 200, **({"X_Retry_Max": retry_max} if retry_max else {}))

    doctor.set_up(openfaas_pro=pro)
    checks = await doctor.examine(answer)
    assert checks[QUEUE].status == "ok"
    check = checks["queue: retries"]
    assert (check.status, advice in check.advice, bool(advice)) == (status, True, bool(check.advice))


async def test_gateway_that_refuses_the_message_fails(doctor: Doctor) -> None:
    doctor.pipeline.gateway.refusals[doctor.pipeline.name] += [500]
    check = (await doctor.examine())[QUEUE]
    assert (check.status, check.found) == ("failed", "the gateway refused a message with 500")


async def test_unknown_probe_is_not_recorded(pipeline: PipelineBench, redis: Redis) -> None:
    signed: dict[Purpose, str] = {"probe": "/", "probe callback": PROBE_PATH}
    for purpose, path in signed.items():
        answer = await pipeline.handle("probe", pipeline.signed(purpose, IDENTITY), path=path)
        assert document(answer) == {"verdict": "unknown"}
    assert await redis.keys(f"{pipeline.name}:*") == []


async def test_recorded_probe_expires(pipeline: PipelineBench, redis: Redis) -> None:
    await pipeline.context.ledger.probes.begin(IDENTITY.batch)
    answer = await pipeline.handle("probe", pipeline.signed("probe", IDENTITY))
    assert document(answer) == {"verdict": "noted"}
    assert await pipeline.context.ledger.probes.seen(IDENTITY.batch) == {"invoked": "200"}
    assert [0 < await redis.ttl(key) <= PROBE_TTL for key in await redis.keys(f"{pipeline.name}:*")] == [True] * 2


async def test_late_probe_is_not_recorded(doctor: Doctor, redis: Redis) -> None:
    messages: list[Message] = []

    async def record(pipeline: PipelineBench, message: Message) -> None:
        messages.append(message)
        await deliver(pipeline, message)

    await doctor.examine(record)
    pipeline, (message,) = doctor.pipeline, messages
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
async def test_probe_refuses_signatures_of_other_purposes(
    pipeline: PipelineBench, redis: Redis, purpose: Purpose, path: str
) -> None:
    await pipeline.context.ledger.probes.begin(IDENTITY.batch)
    with pytest.raises(ForbiddenError):
        await pipeline.handle("probe", pipeline.signed(purpose, IDENTITY), path=path)
    assert await pipeline.context.ledger.probes.seen(IDENTITY.batch) == {}
    assert len(await redis.keys(f"{pipeline.name}:*")) == 2


@pytest.mark.parametrize("change", [{"batch": "another"}, {"sig": "0" * 64}, {"epoch": "1"}, {"task": "1"}])
@pytest.mark.parametrize("path", ["/", PROBE_PATH])
async def test_modified_probe_is_refused(pipeline: PipelineBench, change: Mapping[str, str], path: str) -> None:
    await pipeline.context.ledger.probes.begin("another")
    signed = pipeline.signed("probe callback" if path == PROBE_PATH else "probe", IDENTITY)
    with pytest.raises(ForbiddenError):
        await pipeline.handle("probe", {**signed, **change}, path=path)
    assert await pipeline.context.ledger.probes.seen("another") == {}


async def test_probe_signature_serves_no_other_mode(pipeline: PipelineBench) -> None:
    for mode in ("task", "reduce", "open"):
        with pytest.raises(ForbiddenError):
            await pipeline.handle(mode, pipeline.signed("probe", IDENTITY))
    for path in ("/collect", "/collect/direct"):
        with pytest.raises(ForbiddenError):
            await pipeline.handle("", pipeline.signed("probe callback", IDENTITY), path=path)
