"""The end of a batch notifies a function that starts the next batch, also while replicas are killed."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.local.openfaas.functions import FunctionSpec
from tests.rigs.openfaas.cluster import SHORT_SILENCE, Cluster, cluster, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")
# Verifies its notifications, logs their ids, and submits the input of the first batch again.
NEXT = """
import json
from pathlib import Path
from pipeline.client import SyncPipeline
from standardwebhooks import Webhook

def handle(event, context):
    event_document = Webhook(Path({key!r}).read_text()).verify(event.body, dict(event.headers))
    with Path({log!r}).open("a") as log:
        log.write(json.dumps([event.headers["webhook-id"], event_document["type"]]) + "\\n")
    if event_document["type"] == "batch.reduce":
        return {{"sum": event_document["data"]["status"]["succeeded"]}}
    name = event_document["data"]["status"]["batch_id"]
    with SyncPipeline({gateway!r}) as pipeline:
        pipeline.submit(f"{{name}}/input.csv", batch_id=f"{{name}}-next")
    return {{"statusCode": 204}}
"""


async def add_next(running: Cluster, folder: Path) -> Path:
    """Deploy the function `next`; returns its log."""
    stack, log, handler = running.stack, folder / "notifications.ndjson", folder / "next.py"
    key = str(stack.secrets_dir / "webhook-key")
    handler.write_text(NEXT.format(key=key, log=str(log), gateway=stack.gateway_url))
    await stack.add_function(FunctionSpec("next", (sys.executable, "-m", "pipeline.local.serve_handler", str(handler))))
    return log


def notifications(log: Path) -> list[tuple[str, str]]:
    return [tuple(orjson.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


async def until_delivered(running: Cluster, batch: str) -> dict[str, Any]:
    async def delivered() -> dict[str, Any]:
        status = await running.status(batch)
        return status if {notice["state"] for notice in status["notifications"]} == {"delivered"} else {}

    return await wait_until(delivered)


async def test_end_of_a_batch_starts_the_next_batch(tmp_path: Path) -> None:
    async with cluster(tmp_path, replicas=2) as running:
        log = await add_next(running, tmp_path)
        batch = (await running.submit_rows(urls(40), reduce="next", notify="next"))["batch_id"]
        status = await until_delivered(running, batch)
        assert [(notice["kind"], notice["tries"]) for notice in status["notifications"]] == [
            ("reduce", 1),
            ("notify", 1),
        ]
        following = await running.ended(f"{batch}-next")
        assert (following["state"], following["succeeded"], following["notifications"]) == ("done", 40, [])
        assert orjson.loads(await running.get(f"{batch}/reduced.json"))["result"] == {"sum": 40}
        assert [kind for _, kind in notifications(log)] == ["batch.reduce", "batch.ended"]
        assert await running.keys(f"open/pipeline/{batch}") == []
        assert await running.keys_without_ttl() == []


async def test_target_deployed_after_crashes_and_a_lost_redis_is_notified_under_one_id(tmp_path: Path) -> None:
    async with cluster(tmp_path, workers=8, redelivery=1.0, replicas=2, **SHORT_SILENCE) as running:
        batch = (await running.submit_rows(urls(40), notify="next"))["batch_id"]
        await running.ended(batch)

        async def refused() -> bool:
            """Whether S3 has the refused try."""
            if f"{batch}/status.json" not in await running.keys(f"{batch}/"):
                return False
            stored = orjson.loads(await running.get(f"{batch}/status.json"))
            return bool(stored["notifications"][0]["status_code"] == 404)

        await wait_until(refused)
        before = running.stack.restarts("pipeline")
        for pid in running.stack.pids("pipeline"):
            os.kill(pid, signal.SIGKILL)
        running.stack.redis_service.kill()
        await running.stack.redis_service.restart()
        await wait_until(lambda: running.stack.restarts("pipeline") >= before + 2)
        await running.replicas_live()
        log = await add_next(running, tmp_path)
        status = await until_delivered(running, batch)
        assert status["notifications"][0]["tries"] > 1
        # A slow machine may send it again, which its id tells.
        assert len(set(notifications(log))) == 1
        assert (await running.ended(f"{batch}-next"))["succeeded"] == 40
