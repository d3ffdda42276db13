"""Receivers of notifications: HTTP servers on 127.0.0.1, and functions behind the gateway."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson
from aiohttp import web
from standardwebhooks import Webhook

from pipeline.local.services.ports import free_ports
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.redis.ledger_bench import Bench

WEBHOOK_KEY = b"a webhook key of the tests"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status_answer(status: int, **headers: str) -> Answer:
    """An answer with this status and these headers, whose underscores become dashes."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


@dataclass(frozen=True)
class Call:
    """One request to a target."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        return cast("dict[str, Any]", orjson.loads(self.body))

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, key: bytes | str = WEBHOOK_KEY) -> None:
        """Raise the error of the reference implementation unless this was signed with the key."""
        Webhook(key).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    """Answers each call with the next of `answers`, then 204; while it is down its port is closed."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/hooks/a-secret"

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def down(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
        self.runner = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(Call(request.path_qs, dict(request.headers), await request.read()))
        return await (self.answers.pop(0) if self.answers else status_answer(204))(request)

    async def model(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Answer as a function behind the gateway."""
        self.calls.append(Call(request.path_qs, dict(request.headers), body))
        return await (self.answers.pop(0) if self.answers else status_answer(204))(request)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run a receiver."""
    made = Receiver(free_ports(1, offset=0)[0])
    await made.up()
    try:
        yield made
    finally:
        await made.down()


def allow(pipeline: PipelineBench, *receivers: Receiver, **settings: Any) -> None:
    """Allow the URLs of these receivers, and change other settings."""
    update = {"allowed_urls": ", ".join(f"{receiver.origin}/hooks" for receiver in receivers), **settings}
    pipeline.context = replace(pipeline.context, settings=pipeline.context.settings.model_copy(update=update))


async def due_again(pipeline: PipelineBench, *targets: int) -> None:
    """Make the next try of these targets due, by default of all that have one."""
    bench = pipeline.bench()
    for duty in [f"n:{target}" for target in targets] or [duty for duty in await bench.due() if duty[0] == "n"]:
        await bench.age_duty(duty)


async def wait_of(pipeline: PipelineBench, target: int = 0) -> float:
    """Seconds between a try and the next one, by Redis' clock."""
    bench = pipeline.bench()
    score = await pipeline.redis.zscore(bench.key("due"), f"n:{target}")
    assert score is not None
    notice = await Bench._await(pipeline.redis.hget(bench.key("notices"), str(target)))
    return (score - int(notice.split()[3])) / 1e6


def notified(status: Mapping[str, Any]) -> list[tuple[str, int, int | None]]:
    """State, tries and status code of each target."""
    return [(target["state"], target["tries"], target["status_code"]) for target in status["notifications"]]
