"""The queue-worker: takes one message at a time, calls its function, and posts the answer to the callback URL."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.local.openfaas.go_http import CALLBACK_AGENT, WORKER_AGENT, end_to_end
from pipeline.local.openfaas.message_queue import Callback, Hook, Message, MessageQueue, once
from pipeline.local.openfaas.proxy import Answer, Proxy, as_payload

_REDIRECTS_TO_GET = frozenset({301, 302, 303})
_LOG_LENGTH = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallbackRecord:
    """The outcome of one callback: `status` is the receiver's answer, None if it could not be reached.

    `seconds` is the duration of the POST.
    """

    function: str
    call_id: str
    path: str
    function_status: int
    status: int | None
    seconds: float


class QueueWorkers:
    """`count` queue-workers in parallel; as in CE, each holds one message at a time."""

    def __init__(self, queue: MessageQueue, proxy: Proxy, count: int) -> None:
        self.hook: Hook[Callback] = once
        self.gateway_down = False
        self.log: deque[CallbackRecord] = deque(maxlen=_LOG_LENGTH)
        self._queue = queue
        self._proxy = proxy
        self._count = count
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the workers."""
        for _ in range(self._count):
            self._spawn(self._work())

    async def stop(self) -> None:
        """Stop the workers, even in the middle of a message."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while True:
            lease = await self._queue.take()
            try:
                await self._run(lease.message)
            except Exception:
                logger.exception("message for %s failed", lease.message.function)
            finally:
                lease.acknowledge()

    async def _run(self, message: Message) -> None:
        started = time.perf_counter()
        answer = await self._invoke(message)
        if message.callback_url is None:
            return
        callback = _callback(message, message.callback_url, answer, time.perf_counter() - started)
        delays = self.hook(callback)
        for delay in delays:
            if delay > 0:
                self._spawn(self._deliver_later(callback, delay))
        await asyncio.gather(*(self._deliver(callback) for delay in delays if delay <= 0))

    async def _invoke(self, message: Message) -> Answer:
        if self.gateway_down:
            return Answer(503, CIMultiDict(), b"")
        headers = CIMultiDict(message.headers)
        headers["User-Agent"] = WORKER_AGENT
        return await self._proxy.invoke(message.function, "POST", message.path, headers, message.body, "message")

    async def _deliver_later(self, callback: Callback, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._deliver(callback)

    async def _deliver(self, callback: Callback) -> None:
        """Post once; a callback is never retried, even if the receiver fails or does not exist."""
        status: int | None = None
        started = time.perf_counter()
        try:
            status = await self._post(callback)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            logger.warning("callback to %s failed: %s", callback.url, error)
        else:
            if not 200 <= status < 300:  # noqa: PLR2004
                logger.warning("callback to %s was answered %d", callback.url, status)
        seconds = time.perf_counter() - started
        record = CallbackRecord(callback.function, callback.call_id, callback.path, callback.status, status, seconds)
        self.log.append(record)

    async def _post(self, callback: Callback) -> int:
        url = URL(callback.url, encoded=True)
        async with self._proxy.session.post(
            url,
            data=as_payload(callback.body),
            headers=callback.headers,
            chunked=True if callback.body else None,
            allow_redirects=False,
        ) as response:
            await response.read()
            status, location = response.status, response.headers.get("Location")
        if status not in _REDIRECTS_TO_GET or location is None:
            return status
        # aiohttp would follow the redirect with the POST's chunked framing; Go sends a plain GET.
        async with self._proxy.session.get(url.join(URL(location)), headers=callback.headers) as response:
            await response.read()
            return response.status


def _callback(message: Message, url: str, answer: Answer, seconds: float) -> Callback:
    """Make the callback: the function's headers, then the worker's own over them; the caller's headers are not sent."""
    headers = end_to_end(answer.headers.items())
    headers["X-Call-Id"] = message.call_id
    headers["X-Function-Name"] = message.function
    headers["X-Function-Status"] = str(answer.status)
    headers["X-Duration-Seconds"] = f"{seconds:.6f}"
    headers.setdefault("User-Agent", CALLBACK_AGENT)
    headers.setdefault("Accept-Encoding", "gzip")
    path = URL(url, encoded=True).raw_path_qs
    return Callback(message.function, path, headers, answer.body, message.call_id, url, answer.status)
