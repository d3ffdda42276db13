"""NATS Streaming with its store in memory, as OpenFaaS CE runs it; the workers are one queue group.

The server sends a message that is not acknowledged within `ack_wait` again, to the worker with the fewest messages
outstanding, and to any if all are at their limit of one. So copies pile up in the inboxes of busy workers, and each of
them is a run. The rules below are those of nats-streaming-server (`performAckExpirationRedelivery`, `processAck`,
`findBestQueueSub`).
"""

import asyncio
from collections import deque

from pipeline.local.openfaas.message_queue import Message, MessageQueue

MAX_MESSAGES = 1_000_000
MAX_BYTES = 1_000_000 * 1024
_MAX_INFLIGHT = 1
# The server redelivers what expires this soon with what has expired, at most a hundredth of `ack_wait`.
_TIMER_SLACK = 0.015


class Subscription:
    """A worker's client: `inbox` is what it received and did not start, `pending` what the server waits for.

    `pending` is the time of expiry by sequence number.
    """

    def __init__(self) -> None:
        self.inbox: deque[tuple[int, Message]] = deque()
        self.pending: dict[int, float] = {}
        self.stalled = False
        self.timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._changed = asyncio.Event()

    async def next(self) -> tuple[int, Message] | None:
        """Wait for the next message, with its sequence number; None once the client is closed."""
        while not self.inbox and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        return None if self._closed else self.inbox.popleft()

    def receive(self, sequence: int, message: Message) -> None:
        """Take a message from the server."""
        self.inbox.append((sequence, message))
        self._changed.set()

    def close(self) -> None:
        """Lose the connection, and what was received."""
        self._closed = True
        self.inbox.clear()
        self.pending.clear()
        self.set_timer(None)
        self._changed.set()

    def set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the timer of redeliveries."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = timer


class NatsStreaming(MessageQueue):
    """The server. It keeps messages after their delivery, and drops the oldest above `max_messages` or `max_bytes`."""

    def __init__(self, ack_wait: float, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self.kept_bytes = 0
        self._ack_wait = ack_wait
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._sizes: deque[int] = deque()
        self._last = 0
        self._last_sent = 0
        # What is neither acknowledged nor dropped.
        self._messages: dict[int, Message] = {}
        self._subscriptions: list[Subscription] = []

    @property
    def kept_messages(self) -> int:
        """Number of messages in memory, those delivered and acknowledged included."""
        return len(self._sizes)

    def subscribe(self) -> Subscription:
        """Add a worker to the queue group."""
        subscription = Subscription()
        self._subscriptions.append(subscription)
        self._send_next()
        return subscription

    def put(self, message: Message) -> None:
        """Queue a message; the oldest ones above the limits are gone, delivered or not."""
        self._last += 1
        self._messages[self._last] = message
        self._sizes.append(message.size)
        self.kept_bytes += message.size
        while len(self._sizes) > self._max_messages or (self.kept_bytes > self._max_bytes and len(self._sizes) > 1):
            self._messages.pop(self._first, None)
            self.kept_bytes -= self._sizes.popleft()
        self._send_next()

    def messages(self) -> tuple[Message, ...]:
        """Return the waiting messages: those in the workers' inboxes, then those that no worker received."""
        received = [message for one in self._subscriptions for _, message in one.inbox]
        return (*received, *(self._messages[sequence] for sequence in range(self._next, self._last + 1)))

    def wipe(self) -> None:
        """Lose everything and every connection."""
        super().wipe()
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        self._messages.clear()
        self._sizes.clear()
        self.kept_bytes = 0
        self._last_sent = self._last

    def acknowledge(self, subscription: Subscription, sequence: int) -> None:
        """Settle a message, whichever worker it was sent to last; copies in inboxes still run."""
        if subscription not in self._subscriptions:
            return
        for member in (subscription, *self._subscriptions):
            member.pending.pop(sequence, None)
        self._messages.pop(sequence, None)
        self._release(subscription)

    @property
    def _first(self) -> int:
        return self._last - len(self._sizes) + 1

    @property
    def _next(self) -> int:
        return max(self._last_sent + 1, self._first)

    def _best(self) -> Subscription:
        """Choose the worker for a message."""
        members = self._subscriptions
        free = [member for member in members if not member.stalled]
        best = min(free, key=lambda member: len(member.pending)) if free else members[0]
        if best is members[0]:
            members.append(members.pop(0))
        return best

    def _send_next(self) -> None:
        """Send the next message that no worker received, if one may have it."""
        if self._next > self._last or all(member.stalled for member in self._subscriptions):
            return
        member = self._best()
        member.stalled = True
        if len(member.pending) < _MAX_INFLIGHT:
            self._last_sent = self._next
            self._send(member, self._last_sent)

    def _send(self, member: Subscription, sequence: int) -> None:
        now = asyncio.get_running_loop().time()
        member.pending[sequence] = member.pending.get(sequence, now) + self._ack_wait
        member.receive(sequence, self._messages[sequence])
        if member.timer is None:
            self._check_later(member, self._ack_wait)

    def _release(self, member: Subscription) -> None:
        if member.stalled and len(member.pending) < _MAX_INFLIGHT:
            member.stalled = False
            self._send_next()

    def _check_later(self, member: Subscription, delay: float) -> None:
        member.set_timer(asyncio.get_running_loop().call_later(delay, self._redeliver, member))

    def _redeliver(self, member: Subscription) -> None:
        """Send what has expired again, even to a worker at its limit; what was dropped counts as acknowledged."""
        member.set_timer(None)
        now = asyncio.get_running_loop().time()
        limit = now + min(_TIMER_SLACK, self._ack_wait / 100)
        for sequence, expiry in sorted(member.pending.items(), key=lambda pending: pending[1]):
            if sequence not in self._messages:
                self.acknowledge(member, sequence)
            elif expiry <= limit:
                best = self._best()
                self._send(best, sequence)
                if best is not member:
                    # Its own worker no longer counts as busy, and is sent new messages.
                    del member.pending[sequence]
                    self._release(member)
        if member.pending:
            following = min(member.pending.values()) - now
            self._check_later(member, following if following > 0 else self._ack_wait)
