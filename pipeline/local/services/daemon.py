"""One server program as a child process that can be killed and restarted on the same port and folder."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from pipeline.local.errors import LocalError, ServiceStartError
from pipeline.local.services.child_processes import Child, Children
from pipeline.local.services.readiness import failure_to_start


class Daemon:
    """A server; `ready` returns whether it serves, and is polled for up to `timeout` seconds."""

    def __init__(
        self,
        children: Children,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        ready: Callable[[], Awaitable[bool]],
        timeout: float,
    ) -> None:
        self._children = children
        self._command = command
        self._environment = environment
        self._ready = ready
        self._timeout = timeout
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None while it does not run."""
        return self._child.pid if self._child is not None and self._child.exit_code is None else None

    async def start(self) -> None:
        """Start it and wait until it serves; raises ServiceStartError with the end of its log if it does not."""
        if self.pid is not None:
            raise LocalError(f"{self._name} already runs, with process id {self.pid}")
        child = self._child = self._children.start(
            self._command, log=f"{self._name}.log", environment=self._environment
        )
        failure = await failure_to_start(child, self._ready, self._timeout)
        if failure is not None:
            child.kill()
            raise ServiceStartError(f"{self._name} {failure}")

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash would."""
        if self._child is not None:
            self._child.kill()

    async def stop(self) -> None:
        """Ask it to exit (SIGTERM) and wait until it has."""
        if self._child is not None:
            await self._child.stop()

    @property
    def _name(self) -> str:
        return Path(self._command[0]).name
