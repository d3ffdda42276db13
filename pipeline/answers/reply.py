"""The reply of a called function."""

from dataclasses import dataclass

from pipeline.units import MIB

RESULT_LIMIT = 32 * MIB
BROKEN = 502
TIMED_OUT = 504


@dataclass(frozen=True)
class Reply:
    """A model function's reply; `status` is 502 for a broken connection and 504 for none in time, as the gateway's."""

    status: int
    body: bytes
    retry_after: str = ""


def too_large() -> Reply:
    """Return what stands for a result over RESULT_LIMIT."""
    return Reply(413, f"the result is over {RESULT_LIMIT // MIB} MiB".encode())
