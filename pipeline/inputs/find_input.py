"""Find the object, or the prefix, that is the input of a submission."""

from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.inputs.s3_prefix import look_at, nothing_there
from pipeline.request import RESERVED_IDS
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import is_readable
from pipeline.store.object_info import ObjectInfo
from pipeline.units import MIB

INLINE_SNAPSHOT = 64 * MIB


async def find_input(context: Context, spec: BatchSpec, body: bytes | None) -> tuple[ObjectInfo, bool]:
    """Return the object that is the input, and whether its snapshot takes too long for this request.

    An input that comes as the body has no ETag, a prefix has neither ETag nor size.
    Raises BadRequestError for what is not there, or is the pipeline's own.
    """
    if body is not None:
        return ObjectInfo(spec.input, "", len(body)), len(body) > INLINE_SNAPSHOT
    address = spec.address.without_bucket(context.store.bucket)
    store = context.store.elsewhere(address.bucket)
    if address.bucket is None and await _is_own(context, address.key):
        raise BadRequestError(f"{address.key!r} is the pipeline's own: expected the key of an input of yours")
    if address.is_prefix:
        return ObjectInfo(spec.input, "", 0), await look_at(store, address)
    try:
        found = await store.head(address.key)
    except MissingObjectError:
        raise await nothing_there(store, address) from None
    return found, found.size > INLINE_SNAPSHOT


async def _is_own(context: Context, key: str) -> bool:
    """Say whether a key or a prefix is a mark or a batch's object, other than one of its outputs or its input."""
    folder, slash, _ = key.partition("/")
    if folder in RESERVED_IDS:
        return True
    return bool(slash) and not is_readable(key) and await context.records.exists(folder)
