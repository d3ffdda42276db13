"""A result as JSON."""

import base64
from typing import Literal

import msgspec
import orjson

from pipeline.units import MIB

NESTING_TO_SPARE = 200
PARSED_WHOLE = MIB


def as_json(body: bytes) -> tuple[msgspec.Raw, Literal["base64"] | None]:
    """Return a result as one line of JSON, as written where it is JSON; and its encoding where it is not text.

    JSON nested so deep that whoever reads it again, from deeper inside a call, may not get through counts as text.
    A large result is checked without making objects of it, which would hold up everything else.
    """
    try:
        if len(body) > PARSED_WHOLE:
            body.decode()
            msgspec.json.decode(body, type=msgspec.Raw)
        else:
            orjson.loads(body)
        deeper = b"[" * NESTING_TO_SPARE + body + b"]" * NESTING_TO_SPARE
        return msgspec.Raw(msgspec.json.format(deeper, indent=-1)[NESTING_TO_SPARE:-NESTING_TO_SPARE]), None
    except (orjson.JSONDecodeError, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return msgspec.Raw(orjson.dumps(body.decode())), None
    except UnicodeDecodeError:
        return msgspec.Raw(orjson.dumps(base64.b64encode(body).decode())), "base64"
