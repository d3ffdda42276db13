"""NATS JetStream with one consumer for all workers, as OpenFaaS Pro runs it in its static mode."""

import asyncio
from collections import deque
from dataclasses import dataclass

from pipeline.local.openfaas.message_queue import Message, MessageQueue


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in a worker's hands, and the number of its retries so far."""

    message: Message
    retries: int = 0


class JetStream(MessageQueue):
    """A message belongs to one worker at a time, which extends its lease while it works on it."""

    def __init__(self, ack_wait: float) -> None:
        super().__init__()
        self._ack_wait = ack_wait
        self._waiting: deque[Delivery] = deque()
        self._available = asyncio.Semaphore(0)

    def put(self, message: Message) -> None:
        """Queue a message."""
        self._waiting.append(Delivery(message))
        self._available.release()

    def messages(self) -> tuple[Message, ...]:
        """Return the waiting messages, except those that wait for their retry."""
        return tuple(delivery.message for delivery in self._waiting)

    def wipe(self) -> None:
        """Lose all messages."""
        super().wipe()
        self._waiting.clear()

    async def take(self) -> Delivery:
        """Wait for the next message."""
        while True:
            await self._available.acquire()
            if self._waiting:
                return self._waiting.popleft()

    def retry(self, delivery: Delivery, wait: float) -> None:
        """Give a message back, to be delivered again after `wait` seconds."""
        self._put_back(Delivery(delivery.message, delivery.retries + 1), wait)

    def abandon(self, delivery: Delivery) -> None:
        """Deliver the message of a dead worker again, once its lease has ended."""
        self._put_back(delivery, self._ack_wait)

    def _put_back(self, delivery: Delivery, wait: float) -> None:
        def put() -> None:
            self._waiting.appendleft(delivery)
            self._available.release()

        self._later(wait, put)
