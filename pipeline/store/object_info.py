"""An object of a bucket."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectInfo:
    """An object's key, ETag and size in bytes."""

    key: str
    etag: str
    size: int
