"""The address of an input: an object or a prefix, in the pipeline's own bucket or in another."""

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Self

from pipeline.units import KIB

SCHEME = "s3://"
_OTHER_SCHEME = re.compile(r"(https?|s3[an]?|gs|az|abfss?|file|hdfs|ftp)://", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CONTROLS = frozenset({"Cc", "Zl", "Zp"})


@dataclass(frozen=True)
class Address:
    """A key, or a prefix, which ends in a slash or is empty. `bucket` is None for the pipeline's own bucket."""

    bucket: str | None
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a key or a prefix, or one of both as s3://bucket/key; raises ValueError that says what was expected."""
        if not text.startswith(SCHEME):
            if _OTHER_SCHEME.match(text):
                raise ValueError(
                    "expected a key, or s3://bucket/key: what is elsewhere has to be put into a bucket first"
                )
            return cls(None, _checked(text))
        bucket, slash, key = text.removeprefix(SCHEME).partition("/")
        if not _BUCKET.fullmatch(bucket) or not slash:
            raise ValueError("expected s3://bucket/key, or s3://bucket/prefix/")
        return cls(bucket, _checked(key) if key else "")

    @property
    def is_prefix(self) -> bool:
        """Whether it stands for all objects under a prefix."""
        return not self.key or self.key.endswith("/")

    def without_bucket(self, own: str) -> Self:
        """Return the address with None for the bucket if that is the pipeline's `own`."""
        return replace(self, bucket=None) if self.bucket == own else self

    def __str__(self) -> str:
        return self.key if self.bucket is None else f"{SCHEME}{self.bucket}/{self.key}"


def _checked(key: str) -> str:
    parts = key.split("/")
    if not key or not parts[0] or {".", ".."} & set(parts) or len(key.encode()) > KIB:
        raise ValueError("expected the key of an object: 1 to 1024 bytes, no leading slash, no '.' or '..' as a part")
    if any(unicodedata.category(letter) in _CONTROLS for letter in key):
        raise ValueError("expected the key of an object, without control characters and line separators")
    return key
