"""Objects in S3: the only user of the S3 client. Keys are relative to the one configured bucket."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import BadRequestError, NotFoundError, UnavailableError
from pipeline.models import MIB
from pipeline.settings import Secrets, Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_SIZE = 8 * MIB
COPY_LIMIT = 5 * 1024 * MIB
DELETE_LIMIT = 1000
_DENIED = frozenset({"403", "AccessDenied"})
_MISSING = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})

log = logging.getLogger(__name__)


class MissingObjectError(NotFoundError):
    """There is no object under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no object {key!r}")


class DeniedError(UnavailableError):
    """The S3 key may not do this."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object's key, ETag and size in bytes."""

    key: str
    etag: str
    size: int


# Inside the class `list` is the method.
Aged = list[tuple[str, float]]
Uploads = list[tuple[str, str]]
Codes = list[str]


class Store:
    """The bucket; one client that lives as long as the context."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket
        self._may_list_uploads = True

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings, secrets: Secrets) -> AsyncIterator[Self]:
        """Open the client; nothing is sent yet."""
        config = AioConfig(
            signature_version="s3v4",
            max_pool_connections=64,
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 3},
            s3={"addressing_style": settings.s3_addressing},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                get_session().create_client(
                    "s3",
                    region_name=settings.s3_region,
                    endpoint_url=settings.s3_endpoint,
                    aws_access_key_id=secrets.s3_key,
                    aws_secret_access_key=secrets.s3_secret,
                    config=config,
                )
            )
            yield cls(client, settings.s3_bucket)

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object; raises MissingObjectError."""
        with _errors(key):
            answer = await self._client.head_object(Bucket=self.bucket, Key=key)
        return ObjectInfo(key, answer["ETag"].strip('"'), answer["ContentLength"])

    async def get(self, key: str) -> bytes:
        """Read an object whole; raises MissingObjectError."""
        with _errors(key):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            async with answer["Body"] as body:
                return await body.read()

    async def download(self, key: str, etag: str, path: Path) -> None:
        """Stream an object into a file, if it still is the one with this ETag; raises BadRequestError when not."""
        with _errors(key), path.open("wb") as file:
            answer = await self._client.get_object(Bucket=self.bucket, Key=key, IfMatch=f'"{etag}"')
            async with answer["Body"] as body:
                async for piece in body.iter_chunks(MIB):
                    await asyncio.to_thread(file.write, piece)

    async def put(self, key: str, body: bytes, content_type: str = "application/json") -> ObjectInfo:
        """Write an object whole."""
        with _errors(key):
            answer = await self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)
        return ObjectInfo(key, answer["ETag"].strip('"'), len(body))

    async def delete(self, key: str) -> None:
        """Delete an object; one that is not there is fine."""
        with _errors(key):
            await self._client.delete_object(Bucket=self.bucket, Key=key)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand a request; one that is not there is fine.

        Raises UnavailableError naming how many were left, after every key was tried.
        """
        left: Codes = []
        for start in range(0, len(keys), DELETE_LIMIT):
            part = keys[start : start + DELETE_LIMIT]
            with _errors(part[0]):
                answer = await self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in part], "Quiet": True}
                )
            left += [error.get("Code", "") for error in answer.get("Errors", []) if error.get("Code") not in _MISSING]
        if left:
            raise UnavailableError(
                f"S3 left {len(left)} of {len(keys)} objects undeleted ({', '.join(sorted(set(left)))})"
            )

    async def list(self, prefix: str, limit: int | None = None) -> list[str]:
        """Return the keys under a prefix, sorted; at most `limit`, one request a thousand."""
        return [key for key, _ in await self.list_aged(prefix, limit)]

    async def list_aged(self, prefix: str, limit: int | None = None) -> Aged:
        """Return the keys under a prefix, sorted, each with when it was written, in seconds since 1970, by S3's clock.

        At most `limit`, one request a thousand.
        """
        aged: Aged = []
        with _errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, PaginationConfig={"MaxItems": limit} if limit else {}
            )
            async for page in pages:
                aged += [(entry["Key"], entry["LastModified"].timestamp()) for entry in page.get("Contents", [])]
        return sorted(aged)

    async def copy(self, source: ObjectInfo, key: str) -> None:
        """Copy an object inside the bucket, over 5 GiB by parts."""
        origin = {"Bucket": self.bucket, "Key": source.key}
        with _errors(key):
            if source.size <= COPY_LIMIT:
                await self._client.copy_object(Bucket=self.bucket, Key=key, CopySource=origin)  # type: ignore[arg-type]
                return
            upload = await self.start_upload(key)
            for start in range(0, source.size, COPY_LIMIT):
                part = await self._client.upload_part_copy(
                    Bucket=self.bucket,
                    Key=key,
                    UploadId=upload.upload_id,
                    PartNumber=len(upload.parts) + 1,
                    CopySource=origin,  # type: ignore[arg-type]
                    CopySourceRange=f"bytes={start}-{min(start + COPY_LIMIT, source.size) - 1}",
                )
                upload.parts.append({"PartNumber": len(upload.parts) + 1, "ETag": part["CopyPartResult"]["ETag"]})
            await upload.complete()

    async def start_upload(self, key: str, content_type: str = "application/json") -> "Upload":
        """Start a multipart upload."""
        with _errors(key):
            answer = await self._client.create_multipart_upload(Bucket=self.bucket, Key=key, ContentType=content_type)
        return Upload(self._client, self.bucket, key, answer["UploadId"])

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort a multipart upload; one that is completed or gone is fine."""
        try:
            with _errors(key):
                await self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except MissingObjectError:
            pass

    async def abort_uploads(self, batch: str) -> int:
        """Abort every multipart upload of a batch, by whichever process; return how many.

        Where S3 denies the list of uploads this is said once in the log, and 0 are aborted.
        """
        aborted = 0
        try:
            for prefix in (f"{batch}.json", f"{batch}/"):
                for key, upload_id in await self._uploads(prefix):
                    if key == prefix or prefix.endswith("/"):
                        await self.abort_upload(key, upload_id)
                        aborted += 1
        except DeniedError as error:
            if self._may_list_uploads:
                log.warning("unfinished uploads stay until they are aborted otherwise: %s", error)
            self._may_list_uploads = False
        return aborted

    async def _uploads(self, prefix: str) -> Uploads:
        found: Uploads = []
        with _errors(prefix):
            async for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                found += [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]
        return found


class Upload:
    """A multipart upload in progress; every part but the last is at least 5 MiB, as S3 asks."""

    def __init__(self, client: "S3Client", bucket: str, key: str, upload_id: str) -> None:
        self._client = client
        self._bucket = bucket
        self.key = key
        self.upload_id = upload_id
        self.parts: list[CompletedPartTypeDef] = []
        self.size = 0

    async def send(self, body: bytes) -> None:
        """Send the next part."""
        number = len(self.parts) + 1
        with _errors(self.key):
            answer = await self._client.upload_part(
                Bucket=self._bucket, Key=self.key, UploadId=self.upload_id, PartNumber=number, Body=body
            )
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self.size += len(body)

    async def complete(self) -> ObjectInfo:
        """Publish the object."""
        with _errors(self.key):
            answer = await self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self.key, UploadId=self.upload_id, MultipartUpload={"Parts": self.parts}
            )
        return ObjectInfo(self.key, answer["ETag"].strip('"'), self.size)


@contextmanager
def _errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _MISSING:
            raise MissingObjectError(key) from error
        if code in {"PreconditionFailed", "412"}:
            raise BadRequestError(f"{key!r} changed while it was being read") from error
        if code in _DENIED:
            raise DeniedError(
                f"S3 denies access to {key!r} ({code}): check s3-key, s3-secret and what they may do in the bucket; "
                "without s3:ListBucket a key that is not there is denied too"
            ) from error
        raise UnavailableError(f"S3 refused a request for {key!r} ({code})") from error
    except (BotoCoreError, OSError) as error:
        raise UnavailableError(f"S3 cannot be reached ({type(error).__name__})") from error
