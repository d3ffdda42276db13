"""The queue-worker of OpenFaaS CE: it handles one message at a time, and then acknowledges it."""

import logging
import time

from pipeline.local.openfaas.invoker import Invoker, Tasks
from pipeline.local.openfaas.nats_streaming import NatsStreaming, Subscription

logger = logging.getLogger(__name__)


class QueueWorkers:
    """`count` queue-workers in parallel, each with its own client of NATS."""

    def __init__(self, queue: NatsStreaming, invoker: Invoker, count: int) -> None:
        self._queue = queue
        self._invoker = invoker
        self._count = count
        self._tasks = Tasks()

    def connect(self) -> None:
        """Connect all workers to NATS; calls that began before it lost their connection go on."""
        for _ in range(self._count):
            self._tasks.spawn(self._work(self._queue.subscribe()))

    async def stop(self) -> None:
        """Stop the workers, even in the middle of a message."""
        await self._tasks.stop()

    async def _work(self, subscription: Subscription) -> None:
        while (received := await subscription.next()) is not None:
            sequence, message = received
            started = time.perf_counter()
            try:
                answer = await self._invoker.invoke(message)
                await self._invoker.call_back(message, answer, time.perf_counter() - started)
            except Exception:
                logger.exception("message for %s failed", message.function)
            self._queue.acknowledge(subscription, sequence)
