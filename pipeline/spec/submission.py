"""A submission: a specification, and the exact input that it reads."""

import hashlib
from typing import Any

import msgspec
import orjson

from pipeline.spec.batch_spec import BatchSpec


class Submission(msgspec.Struct, frozen=True):
    """A batch's specification, and the exact object that it reads.

    `etag` pins the input: a changed object is refused. `source` is the same ETag, or the hash of an input that came as
    the body. A prefix has neither, so its objects may change.
    `epoch` is the first epoch of this life of the id: objects of earlier epochs belong to a deleted batch. `owner` is
    the function that owns the batch, since several functions may share a bucket.
    """

    fields: dict[str, Any]
    etag: str
    size: int
    source: str
    epoch: str = "0"
    owner: str = ""

    @property
    def digest(self) -> str:
        """A hash that is equal for the same specification of the same input."""
        document = orjson.dumps([self.fields, self.source], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(document).hexdigest()

    def is_later(self, epoch: str) -> bool:
        """Return whether the submission is of a later life of the id than this epoch."""
        return int(self.epoch, 16) > int(epoch, 16)

    @property
    def spec(self) -> BatchSpec:
        """The specification, typed."""
        return BatchSpec.model_validate(self.fields)
