"""Queue-workers take one message at a time, and redeliver it after ack_wait."""

from aiohttp import web

from pipeline.local.openfaas.message_queue import Message
from tests.rigs.openfaas.local_platform import Gate, platform
from tests.rigs.waiting import wait_until

COLLECT = "/function/pipeline/collect"


async def test_each_worker_holds_one_message_at_a_time() -> None:
    async with platform(workers=2) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        for _ in range(3):
            await stand_in.enqueue("pipeline/task")
        await wait_until(lambda: gate.held == 2)
        assert stand_in.gateway.queue_depth() == 1
        gate.open()
        await wait_until(lambda: gate.finished == 3)


async def test_all_functions_share_one_queue_in_order() -> None:
    async with platform("other", workers=1) as stand_in:
        order: list[str] = []

        async def note(request: web.Request) -> web.Response:
            order.append(request.path)
            return web.Response()

        for recorder in stand_in.functions.values():
            recorder.answers = {f"/{number}": note for number in range(6)}
        for number in range(6):
            await stand_in.enqueue(f"{'other' if number % 2 else 'pipeline'}/{number}")
        await wait_until(lambda: order == ["/0", "/1", "/2", "/3", "/4", "/5"])


async def test_slot_is_held_until_the_callback_is_answered() -> None:
    async with platform("other", workers=1) as stand_in:
        gate = stand_in.recorder.answers["/collect"] = Gate()
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await stand_in.enqueue("other/next")
        await wait_until(lambda: gate.held)
        assert stand_in.gateway.queue_depth("other") == 1
        gate.open()
        await wait_until(lambda: stand_in.calls("other") == ["/next"])


async def test_slow_task_is_redelivered_while_it_runs() -> None:
    async with platform(workers=2, ack_wait=0.05) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        await stand_in.enqueue("pipeline/task", to=COLLECT, X_Call_Id="one")
        await wait_until(lambda: gate.held == 2)
        await wait_until(lambda: stand_in.gateway.queue_depth() == 1)
        gate.open()
        await wait_until(lambda: len(stand_in.recorder.at("/collect")) >= 3)
        assert {request.headers["X-Call-Id"] for request in stand_in.recorder.requests} == {"one"}


async def test_slow_callback_makes_the_task_run_again() -> None:
    async with platform(workers=2, ack_wait=0.05) as stand_in:
        gate = stand_in.recorder.answers["/collect"] = Gate()
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await wait_until(lambda: gate.held == 2)
        assert len(stand_in.recorder.at("/task")) == 2
        gate.open()
        await wait_until(lambda: gate.finished >= 2)


async def test_acknowledged_message_is_not_redelivered() -> None:
    async with platform(workers=1, ack_wait=0.05) as stand_in:
        gate = stand_in.recorder.answers["/slow"] = Gate()
        await stand_in.enqueue("pipeline/fast")
        await stand_in.enqueue("pipeline/slow")
        # By the time that the slow one is delivered again, the fast one would have been too.
        await wait_until(lambda: stand_in.gateway.queue_depth() >= 2)
        assert {message.path for message in stand_in.gateway.messages()} == {"/slow"}
        assert stand_in.calls() == ["/fast", "/slow"]
        gate.open()


async def test_emptied_queue_redelivers_nothing() -> None:
    async with platform(workers=1, ack_wait=0.05) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        await stand_in.enqueue("pipeline/task")
        await wait_until(stand_in.gateway.queue_depth)
        stand_in.gateway.wipe_queue()
        gate.open()
        await stand_in.enqueue("pipeline/after")
        await wait_until(lambda: stand_in.recorder.at("/after"))
        assert len(stand_in.recorder.at("/task")) == 1


async def test_worker_headers_replace_those_of_the_caller() -> None:
    async with platform() as stand_in:
        response = await stand_in.enqueue("pipeline/task", b"body", User_Agent="me", X_Mode="task", Connection="X-Hop")
        assert response.status == 202
        (call,) = await wait_until(lambda: stand_in.recorder.requests)
        assert call.headers["User-Agent"] == "openfaas-ce/nats-queue-worker"
        assert call.headers["X-Mode"] == "task"
        assert (call.headers["Transfer-Encoding"], "Content-Length" in call.headers) == ("chunked", False)
        assert (call.method, call.body) == ("POST", b"body")
        # Once when it was queued and once when it was invoked, as the CE gateway's middleware adds them.
        queued, invoked = call.headers.getall("X-Start-Time")
        assert response.headers["X-Start-Time"] == queued < invoked


async def test_empty_message_has_content_length_0() -> None:
    async with platform() as stand_in:
        await stand_in.enqueue("pipeline/task")
        (call,) = await wait_until(lambda: stand_in.recorder.requests)
        assert (call.headers.get("Content-Length"), "Transfer-Encoding" in call.headers) == ("0", False)


async def test_messages_can_be_lost_duplicated_and_delayed() -> None:
    delays = {"/lost": [], "/doubled": [0.0, 0.0], "/delayed": [0.05]}

    def hook(message: Message) -> list[float]:
        return delays.get(message.path, [0.0])

    async with platform(workers=1, messages=hook) as stand_in:
        for path in ("/delayed", "/lost", "/doubled", "/plain"):
            assert (await stand_in.enqueue(f"pipeline{path}")).status == 202
        await wait_until(lambda: len(stand_in.recorder.requests) == 4)
        assert sorted(stand_in.calls()) == ["/delayed", "/doubled", "/doubled", "/plain"]
        stand_in.gateway.messages_hook = lambda _: [0.0]
        await stand_in.enqueue("pipeline/lost")
        await wait_until(lambda: stand_in.recorder.at("/lost"))
