"""The director of a plan: hooks into the gateway, counts events, and fires the steps one after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from multidict import CIMultiDict

from bench.chaos.evidence import Seen
from bench.chaos.plan import GATEWAY_EVENTS, INNER, STATUSES, Plan, Step
from pipeline.local.openfaas.exchange import Answer, Exchange, proceed_unchanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from bench.chaos.clients import Client
    from pipeline.local.openfaas.gateway import LocalGateway
    from pipeline.local.openfaas.message_queue import Callback, Message

POLL = 0.02


class FaultLog:
    """The steps that have fired, written as they fire; the same seed gives the same lines in the same order."""

    def __init__(self, path: Path) -> None:
        self.fired: list[str] = []
        self.counts: Counter[str] = Counter()
        self._path = path

    def step(self, number: int, step: Step) -> None:
        """Log a step that fired."""
        self.fired.append(str(step))
        self.counts[step.fault] += 1
        with self._path.open("a") as file:
            file.write(json.dumps({"step": number, **asdict(step)}) + "\n")

    def rule(self, kind: str) -> None:
        """Count a fault of a rule; its time depends on the machine, so it is not in the log."""
        self.counts[kind] += 1


class Director:
    """The faults of one run. `folder` holds the armed point, which the replicas read."""

    def __init__(self, plan: Plan, gateway: LocalGateway, client: Client, folder: Path, log: FaultLog) -> None:
        self.seen: list[Seen] = []
        self._plan = plan
        self._gateway = gateway
        self._client = client
        self._folder = folder
        self._log = log
        self._steps = list(enumerate(plan.steps))
        self._left = 0
        self._refusing = 0
        self._occurrences: Counter[tuple[object, ...]] = Counter()
        self._striking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Hook into the gateway and arm the first step."""
        self._gateway.interceptor = self._intercept
        self._gateway.messages_hook = self._message
        self._gateway.callbacks_hook = self._callback
        self._arm()

    async def settle(self) -> None:
        """Wait for a step under way: the killed processes are up again then."""
        if self._striking is not None:
            await self._striking

    async def stop(self) -> None:
        """Finish a step under way, then remove the hooks."""
        self._steps = []
        if self._watching is not None:
            self._watching.cancel()
        await self.settle()
        self.disarm()
        self._gateway.interceptor = proceed_unchanged
        self._gateway.messages_hook = self._gateway.callbacks_hook = lambda _: (0.0,)

    def disarm(self) -> None:
        """Remove the armed point."""
        self._write({})

    def _arm(self) -> None:
        if not self._steps:
            self.disarm()
            return
        number, step = self._steps[0]
        self._left = step.count
        if step.event in GATEWAY_EVENTS:
            self.disarm()
            return
        self._write({"number": number, "fault": step.fault, "event": step.event, "count": step.count})
        self._watching = asyncio.create_task(self._watch(number))

    def _write(self, point: dict[str, object]) -> None:
        temporary = self._folder / "point.new"
        temporary.write_text(json.dumps(point))
        temporary.rename(self._folder / "point")

    async def _watch(self, number: int) -> None:
        fired = self._folder / f"fired-{number}"
        while not fired.exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(POLL)
        fired.unlink()
        step = self._steps[0][1]
        if step.fault in INNER:
            self._done()
        else:
            self._striking = asyncio.create_task(self._strike(step))

    def _event(self, kind: str) -> None:
        """Count an event at the gateway, and fire the step that waits for it."""
        if not self._steps or self._steps[0][1].event != kind or self._striking is not None:
            return
        self._left -= 1
        if self._left == 0:
            self._striking = asyncio.create_task(self._strike(self._steps[0][1]))

    async def _strike(self, step: Step) -> None:
        if step.fault == "refuse-enqueues":
            self._refusing = int(step.value)
        elif step.fault == "wipe-queue":
            self.seen += [Seen("message", message.call_id, "", "wipe", 0) for message in self._gateway.messages()]
            self._gateway.wipe_queue()
        else:
            await self._client.strike(step)
        self._striking = None
        self._done()

    def _done(self) -> None:
        if self._steps:
            self._log.step(*self._steps.pop(0))
            self._arm()

    def _decide(self, kind: str, identity: tuple[object, ...]) -> float | None:
        occurrence = self._occurrences[kind, identity]
        self._occurrences[kind, identity] += 1
        drawn = self._plan.rules.decide(kind, identity, occurrence)
        if drawn is not None:
            self._log.rule(kind)
        return drawn

    def _message(self, message: Message) -> Sequence[float]:
        mode = message.headers.get("X-Mode", "")
        return self._delays("message", message.call_id, (mode, *_identity(message.path)))

    def _callback(self, callback: Callback) -> Sequence[float]:
        return self._delays("callback", callback.call_id, _identity(callback.path))

    def _delays(self, kind: str, call_id: str, identity: tuple[object, ...]) -> Sequence[float]:
        if self._decide(f"drop-{kind}", identity) is not None:
            self.seen.append(Seen(kind, call_id, "", "drop", 0))
            return ()
        later = self._decide(f"delay-{kind}", identity)
        again = self._decide(f"repeat-{kind}", identity)
        return (later or 0.0, *(() if again is None else (0.0, again)))

    async def _intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
        kind = _kind(exchange)
        if not kind:
            return await proceed()
        item = exchange.body.decode() if kind == "call" and isinstance(exchange.body, bytes) else ""
        identity = (item,) if item else (exchange.headers.get("X-Mode", ""), *_identity(exchange.path))
        self._event(kind)
        started = time.monotonic()
        fault, status = "", 0
        answer: Answer | None = None
        try:
            if kind == "enqueue" and self._refusing:
                self._refusing -= 1
                drawn: float | None = 0.5
            else:
                drawn = self._decide(f"refuse-{kind}", identity)
            if drawn is not None:
                fault, answer = "refuse", _refusal(STATUSES, drawn)
                return answer
            drawn = self._decide(f"lose-{kind}", identity)
            answer = await proceed()
            if drawn is not None:
                fault, answer = "lose", _refusal((502, 503), drawn)
            return answer
        finally:
            status = answer.status if answer else 0
            call_id = exchange.headers.get("X-Call-Id", "")
            named = item or "/".join(map(str, identity))
            self.seen.append(Seen(kind, call_id, named, fault, status, time.monotonic() - started))


def _kind(exchange: Exchange) -> str:
    """Return which event a request is, '' for a user's."""
    if exchange.kind != "function":
        return exchange.kind
    if exchange.function != "pipeline":
        return "call"
    return "callback" if exchange.path.startswith("/collect") else ""


def _identity(path: str) -> tuple[object, ...]:
    query = parse_qs(urlsplit(path).query)
    return tuple(query.get(name, [""])[0] for name in ("generation", "task", "attempt"))


def _refusal(statuses: Sequence[int], drawn: float) -> Answer:
    return Answer(statuses[int(drawn * len(statuses))], CIMultiDict(), b"chaos")
