"""The reply of a called function, and its body as JSON."""

import base64
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Literal

import msgspec
import orjson

from pipeline.units import MIB

RESULT_LIMIT = 32 * MIB
BROKEN = 502
TIMED_OUT = 504
SPARE_NESTING = 200
LARGEST_PARSED = MIB


@dataclass(frozen=True)
class Reply:
    """A function's reply; `status` is 502 for a broken connection and 504 for no reply in time, as the gateway's.

    `unreached`: it is the platform's own, and the call never reached the function.
    """

    status: int
    body: bytes
    retry_after: str = ""
    unreached: bool = False


def too_large() -> Reply:
    """Return the reply that stands for a result over RESULT_LIMIT."""
    return Reply(413, f"the result is over {RESULT_LIMIT // MIB} MiB".encode())


def nest(value: bytes) -> bytes:
    """Wrap JSON in arrays: a parser that reads them can also read the value further down the call stack."""
    return b"[" * SPARE_NESTING + value + b"]" * SPARE_NESTING


def as_json(body: bytes) -> tuple[msgspec.Raw, Literal["base64"] | None]:
    """Return a result as one line of JSON: unchanged if it is JSON, else as a string; and the encoding of binary data.

    JSON that is nested so deep that a reader further down the call stack may fail on it counts as text. A byte order
    mark before it is left out (RFC 8259, 8.1). A large result is checked without building objects, which would hold up
    the event loop.
    """
    text = body.removeprefix(BOM_UTF8)
    try:
        if len(text) > LARGEST_PARSED:
            text.decode()
            msgspec.json.decode(text, type=msgspec.Raw)
        else:
            orjson.loads(text)
        return msgspec.Raw(msgspec.json.format(nest(text), indent=-1)[SPARE_NESTING:-SPARE_NESTING]), None
    except (orjson.JSONDecodeError, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return msgspec.Raw(orjson.dumps(body.decode())), None
    except UnicodeDecodeError:
        return msgspec.Raw(orjson.dumps(base64.b64encode(body).decode())), "base64"
