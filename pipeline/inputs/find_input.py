"""Find the object, or the objects under a prefix, that a submission names as its input."""

from typing import TYPE_CHECKING

from pipeline.context import Context
from pipeline.errors import BadRequestError, PipelineError
from pipeline.request import RESERVED_IDS
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.input_address import Address
from pipeline.store.bucket import Store
from pipeline.store.errors import MissingBucketError, MissingObjectError
from pipeline.store.keys import is_readable
from pipeline.store.object_info import ObjectInfo
from pipeline.units import MIB

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import ObjectTypeDef

# A larger input, or more objects under a prefix, are opened by a queued invocation.
INLINE_SNAPSHOT = 64 * MIB
INLINE_OBJECTS = 1000
MOST_NEAR = 10


async def find_input(context: Context, spec: BatchSpec, body: bytes | None) -> tuple[ObjectInfo, bool]:
    """Return the object that is the input, and whether its snapshot takes too long for this request.

    An input that is the body has no ETag, a prefix has neither ETag nor size. Raises BadRequestError for an input that
    does not exist or is the pipeline's own, and as the store.
    """
    if body is not None:
        return ObjectInfo(spec.input, "", len(body)), len(body) > INLINE_SNAPSHOT
    address = spec.address.without_bucket(context.store.bucket)
    store = context.store.elsewhere(address.bucket)
    if address.bucket is None and await _is_own(context, address.key):
        raise BadRequestError(f"{address.key!r} is the pipeline's own: expected the key of an input of yours")
    if address.is_prefix:
        return ObjectInfo(spec.input, "", 0), await _has_many_objects(store, address)
    try:
        info = await store.head(address.key)
    except MissingObjectError:
        raise await no_input(store, address) from None
    return info, info.size > INLINE_SNAPSHOT


async def _is_own(context: Context, key: str) -> bool:
    """Return whether a key or a prefix is a mark or belongs to a batch, other than its outputs and its input."""
    folder, slash, _ = key.partition("/")
    if folder in RESERVED_IDS:
        return True
    return bool(slash) and not is_readable(key) and await context.records.exists(folder)


async def _has_many_objects(store: Store, address: Address) -> bool:
    """Return whether a prefix has more than INLINE_OBJECTS objects; raises BadRequestError for none."""
    try:
        entries = [entry async for page in store.pages(address.key, INLINE_OBJECTS + 1) for entry in page]
    except MissingBucketError as error:
        raise _no_bucket(store, address, error) from None
    if not any(map(is_object, entries)):
        raise await no_input(store, address)
    return len(entries) > INLINE_OBJECTS


def is_object(entry: "ObjectTypeDef") -> bool:
    """Return whether an entry of a listing is more than the empty object with which consoles make a folder."""
    return entry["Size"] > 0 or not entry["Key"].endswith("/")


async def no_input(store: Store, address: Address) -> PipelineError:
    """Return the error for an address without an object, with the keys near it."""
    name = address.key.rstrip("/")
    folder = name.rpartition("/")[0]
    try:
        # Keys that begin with the name are nearer than keys in the same folder.
        near = await store.list(name, limit=MOST_NEAR)
        near = near or await store.list(f"{folder}/" if folder else "", limit=MOST_NEAR)
    except MissingBucketError as error:
        return _no_bucket(store, address, error)
    hint = f"there are: {', '.join(near)}" if near else "there is nothing under that prefix"
    missing = "objects under" if address.is_prefix else "object"
    if not address.is_prefix and any(key.startswith(f"{address.key}/") for key in near):
        hint += "; a prefix, whose objects are the items, ends in a slash"
    return BadRequestError(f"no {missing} {address.key!r} in bucket {store.bucket!r}; {hint}")


def _no_bucket(store: Store, address: Address, error: PipelineError) -> PipelineError:
    """Return the error for a missing bucket: the bucket of the settings is not the submitter's fault."""
    return error if address.bucket is None else BadRequestError(f"there is no bucket {store.bucket!r}")
