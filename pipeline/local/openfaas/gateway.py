"""Gateway, queue and queue-workers that behave as those of OpenFaaS, in one process."""

import asyncio
from collections.abc import Callable
from typing import Self

from aiohttp import web
from multidict import CIMultiDict

from pipeline.local.errors import LocalError
from pipeline.local.openfaas.exchange import Answer, Interceptor, text_answer
from pipeline.local.openfaas.functions import Function
from pipeline.local.openfaas.go_http import url_error
from pipeline.local.openfaas.invoker import CallbackRecord, Invoker
from pipeline.local.openfaas.jetstream import JetStream
from pipeline.local.openfaas.message_queue import Callback, Hook, Message, MessageQueue, once
from pipeline.local.openfaas.nats_streaming import MAX_MESSAGES, NatsStreaming
from pipeline.local.openfaas.pro_worker import ProWorker, ProWorkers
from pipeline.local.openfaas.provider import Provider
from pipeline.local.openfaas.proxy import Proxy
from pipeline.local.openfaas.queue_worker import QueueWorkers
from pipeline.local.openfaas.routes import Routes
from pipeline.local.services.ports import HOST

MAX_BODY = 256_000
MAX_PRO_MESSAGE = 1 << 20
# How long the gateway takes to connect to NATS again.
RECONNECT = 5.0


class LocalGateway:
    """The platform: OpenFaaS CE with NATS Streaming, or with `pro` the queue of OpenFaaS Pro; `workers` queue-workers.

    Made inside a running loop and opened with `async with`; serves on 127.0.0.1:`port` (0: a free one). Times are in
    seconds. With `scale_from_zero`, as in the chart, the gateway looks each function up before it calls it. NATS
    Streaming keeps at most `max_messages`. The hooks `messages` and `callbacks` decide how each is delivered, see
    `Hook`. The hooks, `interceptor`, `provider.state` and two switches may change at any time: with `queue_down` every
    enqueue is a 500; with `cut_off` the workers cannot reach the gateway (and report 503).
    """

    def __init__(  # noqa: PLR0913 - each has a default and is given by name
        self,
        *,
        workers: int = 4,
        ack_wait: float = 60.0,
        upstream_timeout: float = 60.0,
        scale_from_zero: bool = True,
        max_messages: int = MAX_MESSAGES,
        pro: ProWorker | None = None,
        port: int = 0,
        callbacks: Hook[Callback] = once,
        messages: Hook[Message] = once,
    ) -> None:
        self.queue_down = False
        self.messages_hook = messages
        self.provider = Provider()
        self._port = port
        self._pro = pro
        self._proxy = Proxy(self.provider, upstream_timeout, scale_from_zero=scale_from_zero)
        self._invoker = Invoker(self._proxy)
        self._invoker.hook = callbacks
        self._queue: MessageQueue
        self._workers: QueueWorkers | ProWorkers
        if pro is None:
            self._queue = streaming = NatsStreaming(ack_wait, max_messages)
            self._workers = QueueWorkers(streaming, self._invoker, workers)
        else:
            self._queue = stream = JetStream(ack_wait)
            self._workers = ProWorkers(stream, self._invoker, self.provider.functions, workers, pro)
        app = Routes(self._proxy, self.provider, self._accept).application()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await self.__aexit__()
            raise
        self._port = self._runner.addresses[0][1]
        self._invoker.gateway_url = self.url
        self._workers.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._workers.stop()
        await self._invoker.stop()
        self._queue.wipe()
        await self._runner.cleanup()
        await self._proxy.session.close()

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def callbacks_hook(self) -> Hook[Callback]:
        """Decides when each callback is delivered, and how often."""
        return self._invoker.hook

    @callbacks_hook.setter
    def callbacks_hook(self, hook: Hook[Callback]) -> None:
        self._invoker.hook = hook

    @property
    def interceptor(self) -> Interceptor:
        """Stands between each request and its effect, see `Interceptor`."""
        return self._proxy.interceptor

    @interceptor.setter
    def interceptor(self, interceptor: Interceptor) -> None:
        self._proxy.interceptor = interceptor

    @property
    def cut_off(self) -> bool:
        """Whether the queue-workers cannot reach the gateway."""
        return self._invoker.gateway_down

    @cut_off.setter
    def cut_off(self, value: bool) -> None:
        self._invoker.gateway_down = value

    @property
    def callback_log(self) -> tuple[CallbackRecord, ...]:
        """The outcomes of the last 10,000 callbacks, oldest first."""
        return tuple(self._invoker.log)

    @property
    def functions(self) -> dict[str, Function]:
        """The functions that the provider has, by name."""
        return dict(self.provider.functions)

    def add(self, function: Function) -> None:
        """Make a function reachable, in place of one of the same name."""
        self.provider.functions[function.spec.name] = function

    def remove(self, name: str) -> Function:
        """Make a function unknown while it is deployed again; returns it, for `add`."""
        return self.provider.functions.pop(name)

    def queue_depth(self, name: str | None = None, *, match: Callable[[Message], bool] | None = None) -> int:
        """Return the number of waiting messages: all, those of one function, or those for which `match` is true."""
        return self._queue.depth(name, match)

    def messages(self) -> tuple[Message, ...]:
        """Return the waiting messages, the next one first."""
        return self._queue.messages()

    def kept_messages(self) -> tuple[int, int]:
        """Return the number of the messages in the memory of NATS Streaming, and about their bytes."""
        if not isinstance(self._queue, NatsStreaming):
            raise LocalError("only NATS Streaming keeps messages after their delivery")
        return self._queue.kept_messages, self._queue.kept_bytes

    def wipe_queue(self) -> None:
        """Lose all waiting messages and future redeliveries. Running calls continue, and all workers reconnect."""
        self._queue.wipe()
        self._workers.connect()

    def restart_nats(self, away: float = 1.0, reconnect: float = RECONNECT) -> None:
        """Restart NATS: every enqueue is a 500 for the `away` seconds that it takes, and `reconnect` seconds more."""

        def come_back() -> None:
            self.queue_down = False

        self.wipe_queue()
        self.queue_down = True
        asyncio.get_running_loop().call_later(away + reconnect, come_back)

    async def kill_worker(self, index: int) -> None:
        """Kill a queue-worker of OpenFaaS Pro with the messages in its hands; another starts at once."""
        if not isinstance(self._workers, ProWorkers):
            raise LocalError("only a queue-worker of OpenFaaS Pro can be killed here")
        await self._workers.kill(index)

    def _accept(self, message: Message) -> Answer:
        answer = self._refusal(message)
        if answer is None:
            self._put(message)
            answer = Answer(202, CIMultiDict(), b"")
        return answer

    def _refusal(self, message: Message) -> Answer | None:
        if message.callback_url is not None and (error := url_error(message.callback_url)):
            return text_answer(400, error)
        reason = None
        if self._pro is None and len(message.body) > MAX_BODY:
            size = len(message.body)
            reason = f"request body too large for OpenFaaS CE ({size} bytes), maximum: {MAX_BODY} bytes"
        elif self._pro is not None and message.size > MAX_PRO_MESSAGE:
            reason = "nats: maximum payload exceeded"
        elif self.queue_down:
            reason = "nats: connection closed"
        return None if reason is None else text_answer(500, f"Error queuing request: {reason}")

    def _put(self, message: Message) -> None:
        for delay in self.messages_hook(message):
            if delay > 0:
                self._queue.put_later(message, delay)
            else:
                self._queue.put(message)
