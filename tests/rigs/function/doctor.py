"""The doctor, and a queue-worker that delivers its probe."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.doctor.check import Check
from pipeline.ledger.ledger import Ledger
from pipeline.openfaas.gateway import Gateway
from pipeline.request import PROBE_PATH
from pipeline.store.bucket import Store
from tests.rigs.function.pipeline_bench import PipelineBench, document, query_of
from tests.rigs.openfaas.fake_gateway import Message
from tests.rigs.waiting import wait_until

SECRETS = {"s3-key": "access", "s3-secret": "hidden", "redis-password": "hidden", "pipeline-key": "k" * 16}

QUEUE = "queue: there and back"
# The Redis of the tests has no persistence, and no token is mounted.
KNOWN = {"redis: persistence": "warning", "secret: pipeline-token": "warning"}

Worker = Callable[[PipelineBench, Message], Awaitable[None]]


async def deliver(pipeline: PipelineBench, message: Message) -> None:
    """Invoke the function, and send its answer to the callback."""
    assert (await pipeline.handle(message.mode, message.query)).status == 200
    await call_back(pipeline, message, 200)


async def call_back(pipeline: PipelineBench, message: Message, status: int, **more_headers: str) -> None:
    """Send an answer to the callback of the probe; underscores of `more_headers` become dashes."""
    named = {name.replace("_", "-"): value for name, value in more_headers.items()}
    headers = {"X-Function-Status": str(status), **named}
    assert (
        await pipeline.handle("", query_of(message.headers["X-Callback-Url"]), headers, b"", PROBE_PATH)
    ).status == 200


async def lose(_pipeline: PipelineBench, _message: Message) -> None:
    """Lose the message."""


class Doctor:
    """Runs the doctor on a pipeline, while a queue-worker handles the probe."""

    def __init__(self, pipeline: PipelineBench, folder: Path) -> None:
        self.pipeline = pipeline
        self.folder = folder
        for name, value in SECRETS.items():
            (folder / name).write_text(value)
        self.set_up(secret_mount_path=folder)

    def set_up(self, **settings: Any) -> None:
        """Change settings."""
        update = self.pipeline.context.settings.model_copy(update=settings)
        self.pipeline.context = replace(self.pipeline.context, settings=update)

    def connect(
        self, *, store: Store | None = None, ledger: Ledger | None = None, gateway: Gateway | None = None
    ) -> None:
        """Replace the clients of services."""
        given = {"store": store, "ledger": ledger, "gateway": gateway}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.pipeline.context = replace(self.pipeline.context, **changed)

    async def examine(self, worker: Worker = deliver) -> Mapping[str, Check]:
        """Return the checks by their names."""

        async def work() -> None:
            await wait_until(lambda: any(message.mode == "probe" for message in self.pipeline.queue))
            (message,) = [message for message in self.pipeline.queue if message.mode == "probe"]
            self.pipeline.queue.remove(message)
            await worker(self.pipeline, message)

        working = asyncio.create_task(work())
        try:
            response = await self.pipeline.handle("doctor")
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        assert response.status == 200
        checks = [Check(**entry) for entry in document(response)["checks"]]
        named = {check.name: check for check in checks}
        assert len(named) == len(checks)
        assert [check for check in checks if bool(check.advice) < (check.status != "ok")] == [], "no advice"
        return named


def bad(checks: Mapping[str, Check]) -> dict[str, str]:
    """Return the checks that are not ok, except for slow ones, which depend on the machine."""
    slow = {"redis: round trip", "s3: round trip", "gateway: reached"}
    return {name: check.status for name, check in checks.items() if check.status != "ok" and name not in slow}
