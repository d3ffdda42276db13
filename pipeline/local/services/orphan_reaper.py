"""Outlives a parent that was killed, to end the processes and the folder that it left behind.

Run as a script, in a session of its own, with the folder as argument. Standard input carries one order a
line: `+PID` or `-PID` for a process group that started or ended, `/PATH` for a file elsewhere to remove. End
of file means that the parent is gone: a pipe closes however its writer dies, on every Unix, which is why this
needs no signal from the kernel.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

_GRACE = 2.0


def main() -> None:
    """Follow the orders until the parent is gone, then clean up."""
    groups: set[int] = set()
    files: list[str] = []
    for line in sys.stdin:
        order, rest = line[0], line[1:].rstrip("\n")
        if order == "+":
            groups.add(int(rest))
        elif order == "-":
            groups.discard(int(rest))
        else:
            files.append(order + rest)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    _wait_for(groups)
    for file in files:
        with contextlib.suppress(OSError):
            os.unlink(file)  # noqa: PTH108 - pathlib would double the time that this script takes to start
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def _wait_for(groups: set[int]) -> None:
    """A process that still writes would make the folder's removal fail halfway."""
    deadline = time.monotonic() + _GRACE
    while groups and time.monotonic() < deadline:
        for group in tuple(groups):
            try:
                os.killpg(group, 0)
            except (ProcessLookupError, PermissionError):
                groups.discard(group)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
