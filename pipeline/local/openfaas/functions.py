"""Functions as OpenFaaS runs them: replicas of one command, each a process with its own port."""

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

_START_TIMEOUT = 120.0
_PROBE = aiohttp.ClientTimeout(total=2)
_POLL = 0.02
_PORT_TRIES = 3
_LONGEST_RESTART_PAUSE = 2.0


@dataclass(frozen=True)
class FunctionSpec:
    """A function to run: a `command`, started `replicas` times, or the `url` of a service that already runs.

    The command gets this process's environment, `environment` over it, and the port to listen on (127.0.0.1) in the
    variables `port` and `PORT`. `max_inflight` is the watchdog's limit of calls per replica, above which it answers
    429; None is no limit. Any HTTP answer on `ready_path` means that the function listens. The queue-worker of OpenFaaS
    Pro reads the `com.openfaas.retry.*` of the `annotations`.
    """

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    max_inflight: int | None = None
    url: str | None = None
    ready_path: str = "/_/health"
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.command) == (self.url is not None):
            raise LocalError(f"function {self.name} needs either a command or a url")
        if self.replicas < 1:
            raise LocalError(f"function {self.name} needs at least one replica, not {self.replicas}")


class Replica:
    """One address of a function; `inflight` counts its running calls."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ready = False
        self.inflight = 0
        self.child: Child | None = None

    def kill(self) -> None:
        """Kill its process (SIGKILL); raises LocalError if the stack did not start it."""
        if self.child is None:
            raise LocalError(f"the service at {self.url} was not started by this stack, which does not kill it")
        self.ready = False
        self.child.kill()


class Function:
    """A running function: its replicas, restarted when they exit, and its number of calls."""

    def __init__(self, spec: FunctionSpec, children: Children, session: aiohttp.ClientSession) -> None:
        self.spec = spec
        self.invocations = 0
        self.restarts = 0
        self.replicas = [Replica(spec.url.rstrip("/"))] if spec.url else [Replica("") for _ in range(spec.replicas)]
        self._children = children
        self._session = session
        self._turn = itertools.count()
        self._supervisors: list[asyncio.Task[None]] = []

    def pick(self) -> Replica | None:
        """Return the next live replica in turn, None if none is live."""
        live = [replica for replica in self.replicas if replica.ready]
        return live[next(self._turn) % len(live)] if live else None

    def pids(self) -> list[int]:
        """Return the process ids of the running replicas."""
        children = [replica.child for replica in self.replicas]
        return [child.pid for child in children if child is not None and child.exit_code is None]

    async def start(self) -> None:
        """Start all replicas, wait until each answers, then restart those that exit.

        Raises FunctionStartError once every process of the function has stopped.
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
            self._supervisors = [asyncio.create_task(self._supervise(index)) for index in range(len(self.replicas))]

    async def stop(self) -> None:
        """Stop all replicas."""
        for supervisor in self._supervisors:
            supervisor.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
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

    async def _supervise(self, index: int) -> None:
        """Restart a replica whenever it exits, with longer pauses while it fails to start (a crash loop)."""
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
                pause = min(2 * pause, _LONGEST_RESTART_PAUSE)
