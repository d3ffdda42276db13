"""`python -m pipeline.sandbox.child MODULE:FUNCTION`: call one function within limits, in a process of its own.

Stdin brings the Limits and the function's argument, each as a line of JSON, and stays open while the parent waits.
Stdout takes the Reply.
"""

import os
import pkgutil
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from pipeline.errors import PipelineError, UnavailableError

# A child that uses less processor time (in seconds) in a quarter of its `idle_seconds` stands still.
LEAST_WORK = 0.1
# The parent explains the end by SIGXCPU, which comes at the soft limit.
HARD_CPU_MARGIN = 60


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a child process; None is no limit.

    `memory` and `file_bytes` (of each file that it writes) are in bytes. `processor_seconds` count its work, `seconds`
    the whole call, `idle_seconds` the time in which it stands still.
    """

    memory: int
    processor_seconds: int
    seconds: float | None = None
    file_bytes: int | None = None
    idle_seconds: int | None = None


class Reply(msgspec.Struct, frozen=True):
    """The function's return value as JSON, or the PipelineError that it raised."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    is_unavailable: bool = False


def main(name: str) -> None:
    """Call the function `name` (module:function) with the argument on stdin, and write the Reply to stdout."""
    function = pkgutil.resolve_name(name)
    parameter, _ = get_type_hints(function).values()
    limits = msgspec.json.decode(sys.stdin.buffer.readline(), type=Limits)
    argument = msgspec.json.decode(sys.stdin.buffer.readline(), type=parameter)
    threading.Thread(target=_exit_when_stdin_closes, daemon=True).start()
    set_limits(limits)
    try:
        reply = msgspec.json.encode(_call(function, argument))
    except MemoryError:
        # As Rust does: the parent explains both.
        os.abort()
    sys.stdout.buffer.write(reply)
    sys.stdout.buffer.flush()
    # Not by way of the interpreter's end, which waits for the threads of libraries.
    os._exit(0)


def _call(function: Any, argument: Any) -> Reply:
    try:
        return Reply(msgspec.Raw(msgspec.json.encode(function(argument))))
    except PipelineError as error:
        return Reply(error=str(error), is_unavailable=isinstance(error, UnavailableError))


def set_limits(limits: Limits) -> None:
    """Limit this process; where the machine runs out of memory, it is the first to be killed."""
    # Mapped memory, not reserved memory: an allocator reserves far more than it uses.
    resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.processor_seconds, limits.processor_seconds + HARD_CPU_MARGIN))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    if limits.idle_seconds is not None:
        exit_when_idle(limits.idle_seconds)
    adjustment = Path("/proc/self/oom_score_adj")
    if adjustment.exists():
        adjustment.write_text("1000")


def exit_when_idle(seconds: int) -> None:
    """Let SIGALRM end this process when it stands still: a failed allocation can leave threads that wait forever.

    A thread that holds Python's lock also stops the thread that postpones the alarm, and the alarm still rings.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)

    def postpone() -> None:
        used = 0.0
        while True:
            time.sleep(seconds / 4)
            if time.process_time() - used > LEAST_WORK:
                signal.alarm(seconds)
            used = time.process_time()

    threading.Thread(target=postpone, daemon=True).start()


def _exit_when_stdin_closes() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
