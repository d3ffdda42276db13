"""Functions as OpenFaaS runs them: replicas of one command, each a process of its own behind a port."""

import asyncio
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from pipeline.local.errors import FunctionStartError, LocalError
from pipeline.local.services.child_processes import Child, Children
from pipeline.local.services.ports import HOST, free_port
from pipeline.local.services.readiness import failure_to_start

_START_TIMEOUT = 60.0
_PROBE = aiohttp.ClientTimeout(total=2)
_POLL = 0.02
_PORT_TRIES = 3
_SLOWEST_RESTART = 2.0


@dataclass(frozen=True)
class FunctionSpec:
    """A function to run: `command`, started `replicas` times, or the `url` of something that runs already.

    The command finds the port to listen on (127.0.0.1) in the variables `port` and `PORT`, next to
    `environment` and what this process has. `max_inflight` is the watchdog's limit: calls a replica, above
    which it answers 429; None is no limit. Any HTTP answer on `ready_path` means that it listens.
    """

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    max_inflight: int | None = None
    url: str | None = None
    ready_path: str = "/_/health"

    def __post_init__(self) -> None:
        if bool(self.command) == (self.url is not None):
            raise LocalError(f"function {self.name} needs either a command or a url")
        if self.replicas < 1:
            raise LocalError(f"function {self.name} needs at least one replica, not {self.replicas}")


class Replica:
    """One place where a function answers; `inflight` counts the calls that it works on."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ready = False
        self.inflight = 0
        self.child: Child | None = None

    def kill(self) -> None:
        """End its process at once (SIGKILL); LocalError when it runs elsewhere."""
        if self.child is None:
            raise LocalError(f"what answers at {self.url} is not this stack's to kill")
        self.ready = False
        self.child.kill()


class Function:
    """A running function: its replicas, kept alive, and the calls it got."""

    def __init__(self, spec: FunctionSpec, children: Children, session: aiohttp.ClientSession) -> None:
        self.spec = spec
        self.invocations = 0
        self.restarts = 0
        self.replicas = [Replica(spec.url.rstrip("/"))] if spec.url else [Replica("") for _ in range(spec.replicas)]
        self._children = children
        self._session = session
        self._turn = itertools.count()
        self._keepers: list[asyncio.Task[None]] = []

    def pick(self) -> Replica | None:
        """Return the live replica whose turn it is, None while none is live."""
        live = [replica for replica in self.replicas if replica.ready]
        return live[next(self._turn) % len(live)] if live else None

    def pids(self) -> list[int]:
        """Return the process ids of the replicas that run."""
        children = [replica.child for replica in self.replicas]
        return [child.pid for child in children if child is not None and child.exit_code is None]

    async def start(self) -> None:
        """Start all replicas, wait until each answers, and keep them alive from then on.

        Raises FunctionStartError, with every process of the function ended.
        """
        starts = [asyncio.create_task(self._start(index)) for index in range(len(self.replicas))]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.stop()
            raise
        if self.spec.url is None:
            self._keepers = [asyncio.create_task(self._keep(index)) for index in range(len(self.replicas))]

    async def stop(self) -> None:
        """Ask all replicas to end, and see to it that they do."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for replica in self.replicas:
            replica.ready = False
        await asyncio.gather(*(replica.child.stop() for replica in self.replicas if replica.child is not None))

    async def _start(self, index: int) -> None:
        replica = self.replicas[index]
        if self.spec.url is not None:
            await self._wait_until_ready(replica)
            return
        for tries_left in reversed(range(_PORT_TRIES)):
            port = str(free_port())
            replica.url = f"http://{HOST}:{port}"
            replica.child = self._children.start(
                self.spec.command,
                log=f"{self.spec.name}-{index}.log",
                environment={**os.environ, **self.spec.environment, "port": port, "PORT": port},
            )
            try:
                await self._wait_until_ready(replica)
            except FunctionStartError as error:
                replica.child.kill()
                if tries_left and "in use" in str(error):
                    continue
                raise
            return

    async def _wait_until_ready(self, replica: Replica) -> None:
        failure = await failure_to_start(replica.child, lambda: self._answers(replica), _START_TIMEOUT)
        if failure is not None:
            raise FunctionStartError(f"function {self.spec.name} {failure}")
        replica.ready = True

    async def _answers(self, replica: Replica) -> bool:
        try:
            async with self._session.get(replica.url + self.spec.ready_path, timeout=_PROBE):
                return True
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _keep(self, index: int) -> None:
        """Restart a replica whenever it ends, slower and slower while it does not come up (a crash loop)."""
        replica = self.replicas[index]
        pause = _POLL
        while replica.child is not None:
            await replica.child.wait()
            replica.ready = False
            self.restarts += 1
            await asyncio.sleep(pause)
            try:
                await self._start(index)
                pause = _POLL
            except FunctionStartError:
                pause = min(2 * pause, _SLOWEST_RESTART)
