"""The outcome of one item."""

from typing import Literal

import msgspec

from pipeline.units import KIB

ITEM_PREVIEW = KIB


class Outcome(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The outcome of one item: a line of an answer and of a segment.

    `result` is JSON as the model function wrote it; text, and binary data in base64 (see `encoding`), are JSON strings.
    `ref` is the key of the object with a result that is too large for an answer. `item` is cut at 1,024 characters:
    the snapshot has the whole one. `duration` is in seconds, `attempts` counts the calls made.
    """

    index: int
    item: str
    status: Literal["succeeded", "failed"]
    status_code: int
    attempts: int
    duration: float
    call_id: str
    retryable: bool = False
    result: msgspec.Raw = msgspec.Raw(b"null")
    encoding: Literal["base64"] | None = None
    ref: str | None = None
