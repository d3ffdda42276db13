"""A specification and the exact input that it reads."""

import hashlib
from typing import Any

import msgspec
import orjson

from pipeline.spec.batch_spec import BatchSpec


class Submission(msgspec.Struct, frozen=True):
    """A batch's specification and the exact object it reads.

    `etag` pins the input: a changed one is refused. `source` is that ETag too, or the hash of a body that is the input.
    A prefix has neither: it is the same whatever is under it.
    `epoch` is the first of this life of the id: what is older in S3 is not this batch's. `owner` is the name of the
    function whose batch it is, since several may share a bucket.
    """

    fields: dict[str, Any]
    etag: str
    size: int
    source: str
    epoch: str = "0"
    owner: str = ""

    @property
    def digest(self) -> str:
        """Identifies the submission: the same specification of the same input."""
        document = orjson.dumps([self.fields, self.source], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(document).hexdigest()

    def is_later(self, epoch: str) -> bool:
        """Say whether it began a later life of the id than what is of this epoch."""
        return int(self.epoch, 16) > int(epoch, 16)

    @property
    def spec(self) -> BatchSpec:
        """The specification, typed."""
        return BatchSpec.model_validate(self.fields)
