"""Kill the processes and remove the folder of a parent that has died.

Run as a script, in its own session, with the folder as argument. Each line of standard input is one command: `+PID` or
`-PID` for a process group that started or exited, `/PATH` for a file elsewhere to remove. End of file means that the
parent has died: on every Unix a pipe closes however its writer dies.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

_REMOVAL_GRACE = 2.0


def main() -> None:
    """Read commands until the parent has died, then clean up."""
    groups: set[int] = set()
    files: list[str] = []
    for line in sys.stdin:
        kind, rest = line[0], line[1:].rstrip("\n")
        if kind == "+":
            groups.add(int(rest))
        elif kind == "-":
            groups.discard(int(rest))
        else:
            files.append(kind + rest)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    _wait_until_exited(groups)
    for file in files:
        with contextlib.suppress(OSError):
            os.unlink(file)  # noqa: PTH108 - pathlib would double the time that this script takes to start
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def _wait_until_exited(groups: set[int]) -> None:
    """Wait for the processes: one that still writes would make the removal of the folder fail."""
    deadline = time.monotonic() + _REMOVAL_GRACE
    while groups and time.monotonic() < deadline:
        for group in tuple(groups):
            try:
                os.killpg(group, 0)
            except (ProcessLookupError, PermissionError):
                groups.discard(group)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
