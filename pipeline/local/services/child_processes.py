"""Child processes that never outlive their parent, however it ends."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.local.services import orphan_reaper as watcher

_POLL = 0.02
_TAIL_BYTES = 16_384

# The child waits for a line from its parent before it becomes the command. A parent that dies between
# starting a child and telling the watcher about it closes the pipe instead, and the child ends by itself.
_GATE = 'read -r go && exec "$@" </dev/null'


class Child:
    """One process, leader of a process group of its own, with its output in a log file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Process id, which is its group's id too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, the negative signal number when a signal ended it."""
        return self._process.poll()

    def kill(self) -> None:
        """End it and everything it started, at once (SIGKILL)."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    async def stop(self, grace: float = 5.0) -> None:
        """Ask it to end (SIGTERM), and kill it and what it started after `grace` seconds."""
        if self.exit_code is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace)
        self.kill()

    async def wait(self) -> int:
        """Return its exit code once it has ended.

        Polls: asyncio's own child watchers need a thread a process or a signal handler in the main thread,
        and neither may be assumed of the program that runs a local stack.
        """
        while (code := self.exit_code) is None:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL)
        return code

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of what it wrote."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Children:
    """The processes of one stack and the temporary folder that they share."""

    def __init__(self, directory: Path, orders: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self._orders = orders
        self._running: list[Child] = []

    def start(self, command: Sequence[str], *, log: str, environment: Mapping[str, str]) -> Child:
        """Start `command` with exactly `environment`; its output is appended to the file `log` in the folder.

        A program that does not exist shows as exit code 127 and in the log.
        """
        self._forget_ended()
        path = self.directory / log
        with path.open("ab") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "sh", *command],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._order(f"+{process.pid}")
        gate = process.stdin
        if gate is not None:
            with contextlib.suppress(BrokenPipeError), gate:
                gate.write(b"go\n")
        child = Child(process, path)
        self._running.append(child)
        return child

    def remove_at_end(self, file: Path) -> None:
        """Have a file removed that a child leaves outside of the folder; it need not exist."""
        self._order(str(file.absolute()))

    def close(self) -> None:
        """Kill whatever still runs, then let the watcher remove the folder."""
        for child in self._running:
            child.kill()
        self._forget_ended()
        with contextlib.suppress(BrokenPipeError):
            self._orders.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _forget_ended(self) -> None:
        """A process id may be given to somebody else's process, which the watcher must not kill."""
        for child in self._running:
            if child.exit_code is not None:
                self._order(f"-{child.pid}")
        self._running = [child for child in self._running if child.exit_code is None]

    def _order(self, order: str) -> None:
        pipe = self._orders.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(order.encode() + b"\n")
                pipe.flush()


@contextlib.contextmanager
def child_processes() -> Iterator[Children]:
    """Open a temporary folder (mode 0700) and end every child started in it on the way out."""
    directory = Path(tempfile.mkdtemp(prefix="pipeline-local-"))
    orders = subprocess.Popen(
        [sys.executable, "-I", "-S", watcher.__file__, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Children(directory, orders)
    try:
        yield children
    finally:
        children.close()
