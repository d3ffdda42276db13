"""Who is told of an end and is down: `python -m bench.speed.notify`, two minutes on a local stack.

Batches end while the server that each of them notifies is down. Meanwhile one of two replicas is killed every few
seconds, and once Redis is emptied. Then the server comes back: each batch is to be told to it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop
from aiohttp import web
from rich.console import Console
from standardwebhooks import Webhook

from bench.kit.cli import in_one_line
from bench.kit.errors import BenchError
from bench.kit.machine import describe_machine
from bench.kit.platforms import MODEL
from pipeline.client import Pipeline
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.ports import HOST, free_ports
from pipeline.local.stack import LocalStack, local_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pipeline.client import Batch

OUT = Path(__file__).parents[1] / "results"
LOOK = 0.2
# The longest wait between two tries, and some time to make it in.
PATIENCE = 90.0

Batches = Annotated[int, typer.Option(min=1, help="Batches that end while the server is down.")]
Down = Annotated[float, typer.Option(min=1, help="Seconds for which the server is down.")]
Kills = Annotated[float, typer.Option(min=1, help="Seconds between two kills of a replica.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Row:
    """One batch: tries as its status counts them, calls as the server saw them, and seconds from its return on."""

    batch: str
    tries: int
    calls: int
    ids: int
    verified: int
    seconds_after: float


@dataclass
class Server:
    """Who is told: what came, by batch."""

    url: str
    key: str
    calls: dict[str, list[tuple[str, float]]]
    verified: dict[str, int]

    async def answer(self, request: web.Request) -> web.Response:
        """Take a call down."""
        body = await request.read()
        batch = json.loads(body)["data"]["status"]["batch_id"]
        self.calls[batch].append((request.headers["webhook-id"], time.monotonic()))
        Webhook(self.key).verify(body, dict(request.headers))
        self.verified[batch] += 1
        return web.Response(status=204)

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Listen."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self.answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, int(self.url.rpartition(":")[2])).start()
            yield
        finally:
            await runner.cleanup()


@app.command()
def main(*, batches: Batches = 20, down: Down = 60, kills: Kills = 5, out: Out = OUT) -> None:
    """Let batches end while who is told of it is down, and count what comes when it is back."""
    machine = describe_machine("bench.speed.notify", sys.argv[1:])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(_measure(batches, down, kills))
    with (out / "notify.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    page = as_page(rows, machine, down, kills)
    (out / "notify.md").write_text(page)
    console.print(page)


async def _measure(batches: int, down: float, kills: float) -> list[Row]:
    (port,) = free_ports(1, offset=0)
    url = f"http://{HOST}:{port}"
    model = FunctionSpec("model", (sys.executable, str(MODEL)))
    settings = {"allowed_urls": url}
    async with local_stack([model], pipeline_replicas=2, pipeline_environment=settings) as stack:
        key = (stack.secrets_dir / "webhook-key").read_text()
        server = Server(url, key, defaultdict(list), defaultdict(int))
        async with Pipeline(stack.gateway_url) as pipeline:
            started = [await pipeline.submit(b"url\na\nb\n", notify=[url]) for _ in range(batches)]
            for batch in started:
                await batch.wait()
            await _strike(stack, down, kills)
            back = time.monotonic()
            async with server.up():
                return [await _told(batch, server, back) for batch in started]


async def _strike(stack: LocalStack, seconds: float, kills: float) -> None:
    """Kill replicas in turn while the server is down, and empty Redis at half-time."""
    end, emptied = time.monotonic() + seconds, False
    while (left := end - time.monotonic()) > 0:
        await stack.kill_replica("pipeline", int(left / kills) % 2)
        if left < seconds / 2 and not emptied:
            stack.redis_service.kill()
            await stack.redis_service.restart()
            emptied = True
        await asyncio.sleep(min(kills, left))


async def _told(batch: Batch, server: Server, back: float) -> Row:
    """Wait until a batch's server is told, as its status says; raises BenchError."""
    while time.monotonic() < back + PATIENCE:
        (notification,) = (await batch.status()).notifications
        if notification.state == "delivered":
            calls = server.calls[batch.id]
            ids = {name for name, _ in calls}
            after = round(calls[0][1] - back, 2)
            return Row(batch.id, notification.tries, len(calls), len(ids), server.verified[batch.id], after)
        await asyncio.sleep(LOOK)
    raise BenchError(f"batch {batch.id} was not told within {PATIENCE:g} s of the server's return")


PAGE = """# Who is told of an end, and is down

`{command}`, {date}, {code}, {cores} cores: {cpu}

{batches} batches ended while the server that they notify was down for {down:g} s. Meanwhile one of two replicas was
killed every {kills:g} s, and Redis emptied at half-time.

| | |
|---|---|
| batches | {batches} |
| told once | {once} |
| told more often | {more} |
| told by more than one id | {ids} |
| with a call that was not verified | {unverified} |
| tries of a batch, least and most | {least}, {most} |
| seconds from the server's return, median and longest | {median:.1f}, {longest:.1f} |
"""


def as_page(rows: Sequence[Row], machine: Mapping[str, Any], down: float, kills: float) -> str:
    """Write the figures down; a batch told twice, or by two names, is counted as it is."""
    after = sorted(row.seconds_after for row in rows)
    tries = sorted(row.tries for row in rows)
    return PAGE.format(
        **{name: machine[name] for name in ("command", "date", "code", "cores", "cpu")},
        down=down,
        kills=kills,
        batches=len(rows),
        once=sum(row.calls == 1 for row in rows),
        more=sum(row.calls > 1 for row in rows),
        ids=sum(row.ids > 1 for row in rows),
        unverified=sum(row.verified < row.calls for row in rows),
        least=tries[0],
        most=tries[-1],
        median=after[len(after) // 2],
        longest=after[-1],
    )


if __name__ == "__main__":
    app()
