"""Notifications while their receiver is down: `python -m bench.speed.notify`, two minutes on a local stack.

Batches end while the server that they notify is down. Meanwhile one of two replicas is killed every few seconds, and
Redis is emptied once. Then the server comes back: it has to be notified of each batch once.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from standardwebhooks import Webhook

from bench.kit.cli import Out, measure, new_app
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.pages import wrap
from bench.kit.results import as_page, figures_table, read_frame, read_machine
from bench.kit.stack import model_spec, open_site
from pipeline.client import Batch
from pipeline.local.services.ports import HOST, free_ports
from pipeline.local.stack import LocalStack

NAME = "notify"
LOOK = 0.2
# The longest wait between two tries, and some time for the try.
PATIENCE = 90.0

Batches = Annotated[int, typer.Option(min=1, help="Batches that end while the server is down.")]
Down = Annotated[float, typer.Option(min=1, help="Seconds for which the server is down.")]
Kills = Annotated[float, typer.Option(min=1, help="Seconds between two kills of a replica.")]

app = new_app()


class Server:
    """The receiver: its calls by batch, and how many of them are verified."""

    def __init__(self, key: str) -> None:
        self.calls: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self.verified: Counter[str] = Counter()
        self._webhook = Webhook(key)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Record a call."""
        body = await request.read()
        batch = json.loads(body)["data"]["status"]["batch_id"]
        self.calls[batch].append((request.headers["webhook-id"], time.monotonic()))
        self._webhook.verify(body, dict(request.headers))
        self.verified[batch] += 1
        return web.Response(status=204)


@app.command()
def main(*, batches: Batches = 20, down: Down = 60, kills: Kills = 5, out: Out = RESULTS) -> None:
    """Let batches end while their receiver is down, and count the calls after its return."""
    measure("bench.speed.notify", _measure(batches, down, kills), out, render)


async def _measure(batches: int, down: float, kills: float) -> dict[str, list[dict[str, Any]]]:
    (port,) = free_ports(1, offset=0)
    url = f"http://{HOST}:{port}"
    options = {"pipeline_replicas": 2, "pipeline_environment": {"allowed_urls": url}}
    async with open_site(model_spec("model"), **options) as site:
        server = Server((site.stack.secrets_dir / "webhook-key").read_text())
        started = [await site.pipeline.submit(b"url\na\nb\n", notify=[url]) for _ in range(batches)]
        for batch in started:
            await batch.wait()
        await _strike(site.stack, down, kills)
        back = time.monotonic()
        async with RawTestServer(server.answer, host=HOST, port=port):
            rows = [await _delivered(batch, server, back) for batch in started]
    return {NAME: [{**row, "down_seconds": down, "kill_seconds": kills} for row in rows]}


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


async def _delivered(batch: Batch, server: Server, back: float) -> dict[str, Any]:
    """Wait until the status of a batch says that its notification is delivered; raises BenchError.

    `tries` are by its status, `calls` by the server's record; `seconds_after` are from the server's return.
    """
    while time.monotonic() < back + PATIENCE:
        (notification,) = (await batch.status()).notifications
        if notification.state == "delivered":
            calls, verified = server.calls[batch.id], server.verified[batch.id]
            counts = {"tries": notification.tries, "calls": len(calls), "ids": len({name for name, _ in calls})}
            return {**counts, "verified": verified, "seconds_after": calls[0][1] - back}
        await asyncio.sleep(LOOK)
    raise BenchError(f"batch {batch.id} was not notified within {PATIENCE:g} s of the server's return")


def render(folder: Path) -> dict[str, str]:
    """Return the page."""
    rows, machine = read_frame(folder, NAME), read_machine(folder, NAME)
    calls, after, tries = pl.col("calls"), pl.col("seconds_after"), pl.col("tries")
    figures = rows.select(
        pl.len(),
        (calls == 1).sum().alias("notified once"),
        (calls > 1).sum().alias("notified more often"),
        (pl.col("ids") > 1).sum().alias("notified under several ids"),
        (pl.col("verified") < calls).sum().alias("with a call that was not verified"),
        pl.format("{}, {}", tries.min(), tries.max()).alias("tries of a batch, least and most"),
        after.median().round(1).alias("seconds from the server's return, median"),
        after.max().round(1).alias("seconds from the server's return, longest"),
    ).rename({"len": "batches"})
    one = rows.row(0, named=True)
    text = wrap(
        f"{rows.height} batches ended while the server that they notify was down for {one['down_seconds']:g} s. "
        f"Meanwhile one of two replicas was killed every {one['kill_seconds']:g} s, and Redis emptied at half-time."
    )
    lines = figures_table(figures.to_dict(as_series=False))
    return {f"{NAME}.md": as_page("Notifications while their receiver is down", machine, text, lines)}


if __name__ == "__main__":
    app()
