"""The queue-worker of OpenFaaS Pro, from its documentation: several messages at once, with retries."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.local.openfaas.exchange import Answer
from pipeline.local.openfaas.functions import Function
from pipeline.local.openfaas.invoker import Invoker, Tasks
from pipeline.local.openfaas.jetstream import Delivery, JetStream
from pipeline.units import retry_after

_RETRY_AFTER_STATUSES = frozenset({429, 503})
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_ANNOTATION = "com.openfaas.retry."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProWorker:
    """Settings of the queue-worker, by default those of the chart; times are in seconds.

    A function's annotations `com.openfaas.retry.codes`, `.attempts`, `.min_wait` and `.max_wait` go before them.
    """

    max_inflight: int = 50
    retry_codes: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504})
    retry_attempts: int = 100
    initial_wait: float = 10.0
    max_wait: float = 120.0

    def for_function(self, annotations: Mapping[str, str]) -> "ProWorker":
        """Return the settings for one function."""
        codes = annotations.get(f"{_ANNOTATION}codes")
        least, most = annotations.get(f"{_ANNOTATION}min_wait"), annotations.get(f"{_ANNOTATION}max_wait")
        return ProWorker(
            self.max_inflight,
            self.retry_codes if codes is None else frozenset(map(int, codes.split(","))),
            int(annotations.get(f"{_ANNOTATION}attempts", self.retry_attempts)),
            self.initial_wait if least is None else _go_duration(least),
            self.max_wait if most is None else _go_duration(most),
        )

    def wait(self, answer: Answer, retries: int) -> float:
        """Return the time until the next retry: `Retry-After` if the answer may have it, or else twice the last."""
        if answer.status in _RETRY_AFTER_STATUSES:
            after = retry_after(answer.headers.get("Retry-After", ""))
            if after is not None:
                return max(after, self.initial_wait)
        return min(self.initial_wait * 2.0 ** min(retries, 30), self.max_wait)


class ProWorkers:
    """`count` replicas of the queue-worker on one consumer."""

    def __init__(
        self,
        queue: JetStream,
        invoker: Invoker,
        functions: Mapping[str, Function],
        count: int,
        settings: ProWorker,
    ) -> None:
        self._queue = queue
        self._invoker = invoker
        self._functions = functions
        self._count = count
        self._settings = settings
        self._tasks = Tasks()
        self._replicas: list[list[asyncio.Task[None]]] = []

    def connect(self) -> None:
        """Start the workers; those that already run keep their connection."""
        while len(self._replicas) < self._count:
            self._replicas.append(self._start_replica())

    async def stop(self) -> None:
        """Stop the workers, even in the middle of a message."""
        await self._tasks.stop()

    async def kill(self, index: int) -> None:
        """Kill a worker with the messages in its hands, and start another in its place."""
        tasks = self._replicas[index]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._replicas[index] = self._start_replica()

    def _start_replica(self) -> list[asyncio.Task[None]]:
        return [self._tasks.spawn(self._work()) for _ in range(self._settings.max_inflight)]

    async def _work(self) -> None:
        while True:
            delivery = await self._queue.take()
            try:
                await self._handle(delivery)
            except asyncio.CancelledError:
                self._queue.abandon(delivery)
                raise
            except Exception:
                logger.exception("message for %s failed", delivery.message.function)

    async def _handle(self, delivery: Delivery) -> None:
        """Call the function; its last answer goes to the callback, the others are not reported."""
        started = time.perf_counter()
        message, retries = delivery.message, delivery.retries
        answer = await self._invoker.invoke(message)
        function = self._functions.get(message.function)
        settings = self._settings.for_function(function.spec.annotations if function else {})
        if answer.status in settings.retry_codes and retries < settings.retry_attempts:
            self._queue.retry(delivery, settings.wait(answer, retries))
            return
        own_headers = {"X-Retry": str(retries), "X-Retry-Max": str(settings.retry_attempts)}
        await self._invoker.call_back(message, answer, time.perf_counter() - started, own_headers)


def _go_duration(text: str) -> float:
    """Convert a Go duration like `1m10s` to seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(ms|s|m|h)", text))
