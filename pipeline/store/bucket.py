"""A bucket: read, write, list, copy and delete its objects. Inputs may be in another bucket: see `elsewhere`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from pipeline.concurrency import valid_for
from pipeline.errors import UnavailableError
from pipeline.metrics import Metrics
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.store import keys
from pipeline.store.client import open_clients
from pipeline.store.errors import (
    MISSING,
    DeniedError,
    body_errors,
    read_again,
    s3_errors,
    time_of,
)
from pipeline.store.multipart import Upload
from pipeline.store.object_info import ObjectInfo
from pipeline.units import MIB

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectRequestTypeDef, ObjectTypeDef, PutObjectRequestTypeDef

PART_SIZE = 8 * MIB
COPY_LIMIT = 5 * 1024 * MIB
DELETE_LIMIT = 1000
# Less than any lease.
CHECK_HOLDS = 20.0
Check = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


class Store:
    """A bucket, with one client for the life of the context. Errors show `shown` before a key."""

    def __init__(self, client: "S3Client", bucket: str, public: "S3Client | None" = None, shown: str = "") -> None:
        self._client = client
        self._public = public or client
        self.bucket = bucket
        self._may_list_uploads = True
        self._shown = shown

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        settings: Settings,
        secrets: Secrets,
        reload: Callable[[], Secrets] | None = None,
        metrics: Metrics | None = None,
    ) -> AsyncIterator[Self]:
        """Open the client; this sends no request. `reload` reads the secrets again when S3 refuses them."""
        async with open_clients(settings, secrets, reload or (lambda: secrets), metrics or Metrics()) as made:
            yield cls(made[0], settings.s3_bucket, made[1])

    def elsewhere(self, bucket: str | None) -> "Store":
        """Return the store of another bucket, with the same client; None stands for this bucket."""
        own = bucket in {None, self.bucket}
        return self if own else Store(self._client, str(bucket), self._public, f"s3://{bucket}/")

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object; raises MissingObjectError."""
        with s3_errors(self._shown + key):
            answer = await self._client.head_object(Bucket=self.bucket, Key=key)
        return ObjectInfo(key, answer["ETag"].strip('"'), answer["ContentLength"])

    async def get(self, key: str) -> bytes:
        """Read an object whole; raises MissingObjectError."""
        return await self._read({"Bucket": self.bucket, "Key": key})

    async def get_range(self, source: ObjectInfo, start: int, end: int) -> bytes:
        """Read the bytes `start` to `end` - 1 of an object; raises BadRequestError if it has changed."""
        where: GetObjectRequestTypeDef = {"Bucket": self.bucket, "Key": source.key, "IfMatch": f'"{source.etag}"'}
        return await self._read(where | {"Range": f"bytes={start}-{end - 1}"})

    @read_again
    async def _read(self, request: "GetObjectRequestTypeDef") -> bytes:
        with s3_errors(request["Key"]):
            answer = await self._client.get_object(**request)
            async with answer["Body"] as body:
                with body_errors(request["Key"]):
                    return await body.read()

    async def download(self, key: str, etag: str, path: Path) -> None:
        """Stream an object into a file; raises BadRequestError if it no longer has this ETag."""
        with path.open("wb") as file:
            await self._append(key, etag, file)

    @read_again
    async def _append(self, key: str, etag: str, file: IO[bytes]) -> None:
        """Append the rest of the object to the file."""
        request: GetObjectRequestTypeDef = {"Bucket": self.bucket, "Key": key, "IfMatch": f'"{etag}"'}
        # An empty object has no range, not even from 0.
        if file.tell():
            request["Range"] = f"bytes={file.tell()}-"
        with s3_errors(self._shown + key):
            answer = await self._client.get_object(**request)
            async with answer["Body"] as body:
                with body_errors(self._shown + key):
                    async for piece in body.iter_chunks(MIB):
                        await asyncio.to_thread(file.write, piece)

    async def put(
        self, key: str, body: bytes, content_type: str = "application/json", *, only_new: bool = False
    ) -> ObjectInfo:
        """Write an object whole; `only_new` raises ChangedObjectError if there is one, unless the server is too old."""
        request: PutObjectRequestTypeDef = {
            "Bucket": self.bucket,
            "Key": key,
            "Body": body,
            "ContentType": content_type,
        }
        with s3_errors(key):
            answer = await self._client.put_object(**(request | {"IfNoneMatch": "*"} if only_new else request))
        return ObjectInfo(key, answer["ETag"].strip('"'), len(body))

    async def delete(self, key: str) -> None:
        """Delete an object; a missing one is fine."""
        with s3_errors(key):
            await self._client.delete_object(Bucket=self.bucket, Key=key)

    async def delete_many(self, keys: Sequence[str], check: Check | None = None) -> None:
        """Delete objects, 1,000 per request; a missing one is fine.

        `check` runs before each request: it raises, or what it has checked holds for CHECK_HOLDS seconds, after which
        the request is given up. Tries every key, then raises UnavailableError with the number of objects that are left.
        """
        left: list[str] = []
        for start in range(0, len(keys), DELETE_LIMIT):
            part = keys[start : start + DELETE_LIMIT]
            valid = valid_for(CHECK_HOLDS, check) if check else nullcontext()
            with s3_errors(part[0]):
                async with valid:
                    answer = await self._client.delete_objects(
                        Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in part], "Quiet": True}
                    )
            left += [error.get("Code", "") for error in answer.get("Errors", []) if error.get("Code") not in MISSING]
        if left:
            raise UnavailableError(
                f"S3 left {len(left)} of {len(keys)} objects undeleted ({', '.join(sorted(set(left)))})"
            )

    async def list(self, prefix: str, limit: int | None = None) -> Sequence[str]:
        """Return the keys under a prefix, sorted; at most `limit`, one request per 1,000."""
        return [key for key, _ in await self.list_aged(prefix, limit)]

    async def list_aged(self, prefix: str, limit: int | None = None) -> Sequence[tuple[str, float]]:
        """Return the keys under a prefix, sorted, each with its time of writing, in seconds since 1970 by S3's clock.

        At most `limit`, one request per 1,000.
        """
        return [(entry["Key"], entry["LastModified"].timestamp()) for entry in await self._entries(prefix, limit)]

    async def pages(self, prefix: str, limit: int | None = None) -> AsyncIterator[Sequence["ObjectTypeDef"]]:
        """Yield the entries of S3's listing of a prefix, 1,000 at a time, in its order; at most `limit`."""
        with s3_errors(self._shown + prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, PaginationConfig={"MaxItems": limit} if limit else {}
            )
            async for page in pages:
                yield page.get("Contents", [])

    async def _entries(self, prefix: str, limit: int | None = None) -> Sequence["ObjectTypeDef"]:
        entries = [entry async for page in self.pages(prefix, limit) for entry in page]
        return sorted(entries, key=lambda entry: entry["Key"])

    async def clock(self) -> float | None:
        """Return S3's time in seconds since 1970, None if it does not send it; it also sends it with an error."""
        try:
            with s3_errors(""):
                answer = await self._client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
        except UnavailableError as error:
            time = time_of(getattr(error.__cause__, "response", {}))
            if time is None:
                raise
            return time
        return time_of(answer)

    async def copy(self, source: ObjectInfo, key: str, content_type: str = "application/json") -> None:
        """Copy an object within the bucket, in parts if it is over 5 GiB; `content_type` is that of the source."""
        if source.size <= COPY_LIMIT:
            with s3_errors(key):
                await self._client.copy_object(
                    Bucket=self.bucket, Key=key, CopySource={"Bucket": self.bucket, "Key": source.key}
                )
            return
        async with await self.start_upload(key, content_type) as upload:
            for start in range(0, source.size, COPY_LIMIT):
                await upload.copy_part(source, start, min(start + COPY_LIMIT, source.size))
            await upload.complete()

    async def start_upload(self, key: str, content_type: str = "application/json") -> Upload:
        """Start a multipart upload."""
        return await Upload.start(self._client, self.bucket, key, content_type)

    async def presign(self, key: str, seconds: int, name: str) -> str:
        """Return a URL that lets anybody read an object for some seconds, and save it as `name`; sends no request."""
        parameters = {"Bucket": self.bucket, "Key": key, "ResponseContentDisposition": f'attachment; filename="{name}"'}
        return await self._public.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)

    async def sizes(self, prefix: str) -> Sequence[tuple[str, int]]:
        """Return the keys under a prefix, sorted, each with its size in bytes; one request per 1,000."""
        return [(entry["Key"], entry["Size"]) for entry in await self._entries(prefix)]

    async def children(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of each object directly in a folder, by key; subfolders are not listed."""
        with s3_errors(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=folder, Delimiter="/"
            )
            return {entry["Key"]: entry["Size"] async for page in pages for entry in page.get("Contents", [])}

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort a multipart upload; a completed or missing one is fine."""
        await Upload(self._client, self.bucket, key, upload_id).abort()

    async def abort_uploads(self, batch: str, still_ours: Check | None = None) -> int:
        """Abort every multipart upload of a batch, whichever process began it; return their number.

        `still_ours` is called once they are listed, and raises if the batch is another process's by now. If S3 denies
        the list of uploads, none is aborted, and the log says so once.
        """
        aborted = 0
        try:
            uploads = await self.uploads(batch)
            if still_ours is not None:
                await still_ours()
            for upload in uploads:
                if keys.is_under(upload.key, batch):
                    await upload.abort()
                    aborted += 1
        except DeniedError as error:
            if self._may_list_uploads:
                log.warning("unfinished uploads stay until they are aborted otherwise", extra={"error": str(error)})
            self._may_list_uploads = False
        return aborted

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """Return the unfinished multipart uploads under a prefix."""
        uploads: list[Upload] = []
        with s3_errors(prefix):
            async for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                uploads += [
                    Upload(self._client, self.bucket, upload["Key"], upload["UploadId"])
                    for upload in page.get("Uploads", [])
                ]
        return uploads
