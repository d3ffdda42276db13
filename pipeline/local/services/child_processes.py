"""Child processes that never outlive their parent, even if it is killed."""

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

from pipeline.local.services import orphan_reaper

_POLL = 0.02
_TAIL_BYTES = 16_384

# The child waits for a line from its parent before it becomes the command. If the parent dies before it has
# reported the child to the reaper, the pipe closes instead, and the child exits.
_GATE = 'read -r go && exec "$@" </dev/null'


class Child:
    """One process, the leader of its own process group, with its output in a log file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Process id, also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; the negative signal number if a signal ended it."""
        return self._process.poll()

    def kill(self) -> None:
        """Kill it and all its children (SIGKILL)."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    async def stop(self, grace: float = 5.0) -> None:
        """Ask it to exit (SIGTERM); kill it and all its children after `grace` seconds."""
        if self.exit_code is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace)
        self.kill()

    async def wait(self) -> int:
        """Return its exit code once it has exited.

        Polls: asyncio's own child watchers need a thread per process or a signal handler in the main thread, and the
        program that runs a local stack may allow neither.
        """
        while (code := self.exit_code) is None:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL)
        return code

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its output."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Children:
    """The processes of one stack, and their shared temporary folder."""

    def __init__(self, directory: Path, reaper: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self._reaper = reaper
        self._running: list[Child] = []

    def start(self, command: Sequence[str], *, log: str, environment: Mapping[str, str]) -> Child:
        """Start `command` with exactly `environment`; its output is appended to the file `log` in the folder.

        A missing program gives exit code 127 and a line in the log.
        """
        self._forget_exited()
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
        self._send_to_reaper(f"+{process.pid}")
        gate = process.stdin
        if gate is not None:
            with contextlib.suppress(BrokenPipeError), gate:
                gate.write(b"go\n")
        child = Child(process, path)
        self._running.append(child)
        return child

    def remove_at_end(self, file: Path) -> None:
        """Have a file outside the folder removed at the end; it need not exist."""
        self._send_to_reaper(str(file.absolute()))

    def close(self) -> None:
        """Kill all running children, then let the reaper remove the folder."""
        for child in self._running:
            child.kill()
        self._forget_exited()
        with contextlib.suppress(BrokenPipeError):
            self._reaper.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _forget_exited(self) -> None:
        """Report exited children: the system may reuse their process ids, which the reaper must not kill."""
        for child in self._running:
            if child.exit_code is not None:
                self._send_to_reaper(f"-{child.pid}")
        self._running = [child for child in self._running if child.exit_code is None]

    def _send_to_reaper(self, line: str) -> None:
        pipe = self._reaper.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(line.encode() + b"\n")
                pipe.flush()


@contextlib.contextmanager
def child_processes() -> Iterator[Children]:
    """Open a temporary folder (mode 0700), and kill its child processes at exit."""
    directory = Path(tempfile.mkdtemp(prefix="pipeline-local-"))
    reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", orphan_reaper.__file__, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Children(directory, reaper)
    try:
        yield children
    finally:
        children.close()
