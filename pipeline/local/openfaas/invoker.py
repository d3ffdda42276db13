"""What every queue-worker does with a message: call its function, and post the answer to the callback URL."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.local.openfaas.exchange import Answer, Exchange
from pipeline.local.openfaas.go_client import GoRequest, follow, send
from pipeline.local.openfaas.go_http import CALLBACK_AGENT, WORKER_AGENT, end_to_end
from pipeline.local.openfaas.message_queue import Callback, Hook, Message, once
from pipeline.local.openfaas.proxy import Proxy
from pipeline.local.services.ports import HOST

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


class Tasks:
    """Tasks that run until they end or are all stopped."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel all tasks and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Invoker:
    """Calls functions through the gateway at `gateway_url`, and posts callbacks as `hook` says."""

    def __init__(self, proxy: Proxy) -> None:
        self.hook: Hook[Callback] = once
        self.gateway_url = ""
        self.gateway_down = False
        self.log: deque[CallbackRecord] = deque(maxlen=_LOG_LENGTH)
        self._proxy = proxy
        self._later = Tasks()

    async def invoke(self, message: Message) -> Answer:
        """Call the message's function and follow its redirects; 503 if there is no answer."""
        if self.gateway_down:
            return Answer(503, CIMultiDict(), b"")
        headers = end_to_end(message.headers.items())
        headers["User-Agent"] = WORKER_AGENT
        url = URL(f"{self.gateway_url}/function/{message.function}{message.path}", encoded=True)
        exchange = Exchange(
            "message",
            message.function,
            message.path,
            CIMultiDict(headers),
            message.body,
            host=url.authority,
            address=f"{HOST}:0",
        )
        answer = await self._proxy.invoke(exchange)
        headers["Connection"] = "close"
        try:
            return await follow(self._proxy.session, GoRequest("POST", url, headers, message.body), answer)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            logger.warning("redirect of %s failed: %s", message.function, error)
            return Answer(503, CIMultiDict(), b"")

    async def call_back(
        self, message: Message, answer: Answer, seconds: float, own_headers: Mapping[str, str] | None = None
    ) -> None:
        """Post the answer to the message's callback URL, if it has one; copies that the hook delays are not awaited."""
        if message.callback_url is None:
            return
        callback = _callback(message, message.callback_url, answer, seconds, own_headers or {})
        delays = self.hook(callback)
        for delay in delays:
            if delay > 0:
                self._later.spawn(self._deliver_later(callback, delay))
        await asyncio.gather(*(self._deliver(callback) for delay in delays if delay <= 0))

    async def stop(self) -> None:
        """Forget the callbacks that the hook delayed."""
        await self._later.stop()

    async def _deliver_later(self, callback: Callback, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._deliver(callback)

    async def _deliver(self, callback: Callback) -> None:
        """Post once; a callback is never retried, even if the receiver fails or does not exist."""
        status: int | None = None
        started = time.perf_counter()
        try:
            status = await self._post(callback)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            logger.warning("callback to %s failed: %s", callback.url, error)
        else:
            if not 200 <= status < 300:  # noqa: PLR2004
                logger.warning("callback to %s was answered %d", callback.url, status)
        seconds = time.perf_counter() - started
        record = CallbackRecord(callback.function, callback.call_id, callback.path, callback.status, status, seconds)
        self.log.append(record)

    async def _post(self, callback: Callback) -> int:
        headers = CIMultiDict(callback.headers)
        chunked = headers.pop("Content-Length", None) is None
        url = URL(callback.url, encoded=True)
        answer = await send(self._proxy.session, GoRequest("POST", url, headers, callback.body, chunked))
        return answer.status


def _callback(message: Message, url: str, answer: Answer, seconds: float, own_headers: Mapping[str, str]) -> Callback:
    """Make the callback: the function's headers, then the worker's own over them; the caller's headers are not sent."""
    headers = CIMultiDict(answer.headers)
    headers["X-Call-Id"] = message.call_id
    headers["X-Function-Name"] = message.function
    headers["X-Function-Status"] = str(answer.status)
    headers["X-Duration-Seconds"] = f"{seconds:.6f}"
    for name, value in own_headers.items():
        headers[name] = value
    headers.setdefault("User-Agent", CALLBACK_AGENT)
    headers.setdefault("Accept-Encoding", "gzip")
    headers["Connection"] = "close"
    path = URL(url, encoded=True).raw_path_qs
    return Callback(message.function, path, headers, answer.body, message.call_id, url, answer.status)
