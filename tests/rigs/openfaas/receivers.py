"""Those who are told that a batch has ended: HTTP servers on 127.0.0.1, and functions behind the gateway."""

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


def saying(status: int, **headers: str) -> Answer:
    """An answer of this status; headers have dashes for underscores."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


@dataclass(frozen=True)
class Call:
    """What a target was sent."""

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
        """Raise what the reference implementation does unless this was signed with the key."""
        Webhook(key).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    """Answers each call with the next of `answers`, then 204; while it is down nobody listens at its port."""

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
        return await (self.answers.pop(0) if self.answers else saying(204))(request)

    async def model(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """The same as a function behind the gateway."""
        self.calls.append(Call(request.path_qs, dict(request.headers), body))
        return await (self.answers.pop(0) if self.answers else saying(204))(request)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that is up."""
    made = Receiver(free_ports(1, also=0)[0])
    await made.up()
    try:
        yield made
    finally:
        await made.down()


def allow(pipeline: PipelineBench, *receivers: Receiver, **settings: Any) -> None:
    """Allow their hooks, and change other settings."""
    given = {"allowed_urls": ", ".join(f"{each.origin}/hooks" for each in receivers), **settings}
    pipeline.context = replace(pipeline.context, settings=pipeline.context.settings.model_copy(update=given))


async def due_again(pipeline: PipelineBench, *targets: int) -> None:
    """It is the turn of these targets, by default of all that have one."""
    bench = pipeline.bench()
    for duty in [f"n:{target}" for target in targets] or [duty for duty in await bench.due() if duty[0] == "n"]:
        await bench.age_duty(duty)


async def wait_of(pipeline: PipelineBench, target: int = 0) -> float:
    """Seconds between a try and the next one, by Redis' clock."""
    bench = pipeline.bench()
    score = await pipeline.redis.zscore(bench.key("due"), f"n:{target}")
    assert score is not None
    kept = await Bench._await(pipeline.redis.hget(bench.key("notices"), str(target)))
    return (score - int(kept.split()[3])) / 1e6


def notified(status: Mapping[str, Any]) -> list[tuple[str, int, int | None]]:
    """State, tries and status code of each target."""
    return [(each["state"], each["tries"], each["status_code"]) for each in status["notifications"]]
