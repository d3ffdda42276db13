"""Multipart uploads: an upload is completed or aborted."""

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.errors import PipelineError
from pipeline.store.errors import MissingObjectError, s3_errors
from pipeline.store.object_info import ObjectInfo

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

ABORT_TIMEOUT = 10.0

log = logging.getLogger(__name__)


class Upload:
    """A multipart upload in progress. S3 requires at least 5 MiB for each part but the last.

    As a context manager it aborts the upload when the block raises or is cancelled.
    """

    def __init__(self, client: "S3Client", bucket: str, key: str, upload_id: str) -> None:
        self._client = client
        self._bucket = bucket
        self.key = key
        self.upload_id = upload_id
        self.parts: list[CompletedPartTypeDef] = []
        self.size = 0

    @staticmethod
    async def start(client: "S3Client", bucket: str, key: str, content_type: str) -> "Upload":
        """Start an upload; if this is cancelled, no upload stays behind."""

        async def create() -> Upload:
            with s3_errors(key):
                answer = await client.create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type)
            return Upload(client, bucket, key, answer["UploadId"])

        creating = asyncio.create_task(create())
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            # S3 may have started it already, and only the answer has its id.
            with suppress(PipelineError, TimeoutError):
                await (await asyncio.wait_for(creating, ABORT_TIMEOUT)).give_up()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            await self.give_up()

    async def send(self, body: bytes) -> None:
        """Send the next part."""
        number = len(self.parts) + 1
        with s3_errors(self.key):
            answer = await self._client.upload_part(
                Bucket=self._bucket, Key=self.key, UploadId=self.upload_id, PartNumber=number, Body=body
            )
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self.size += len(body)

    async def copy_part(self, source: ObjectInfo, start: int, end: int) -> None:
        """Add the bytes `start` to `end` - 1 of another object of the bucket as the next part."""
        number = len(self.parts) + 1
        with s3_errors(self.key):
            answer = await self._client.upload_part_copy(
                Bucket=self._bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": source.key},
                CopySourceRange=f"bytes={start}-{end - 1}",
            )
        self.parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        self.size += end - start

    async def complete(self) -> ObjectInfo:
        """Publish the object."""
        with s3_errors(self.key):
            answer = await self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self.key, UploadId=self.upload_id, MultipartUpload={"Parts": self.parts}
            )
        return ObjectInfo(self.key, answer["ETag"].strip('"'), self.size)

    async def abort(self) -> None:
        """Abort the upload; a completed or missing one is fine."""
        with suppress(MissingObjectError), s3_errors(self.key):
            await self._client.abort_multipart_upload(Bucket=self._bucket, Key=self.key, UploadId=self.upload_id)

    async def give_up(self) -> None:
        """Abort within ABORT_TIMEOUT seconds. A failure is only logged, since another error is being raised."""
        try:
            async with asyncio.timeout(ABORT_TIMEOUT):
                await self.abort()
        except (PipelineError, TimeoutError) as error:
            log.warning(
                "the unfinished upload stays in S3",
                extra={"upload": self.key, "error": str(error or "no answer to its abort")},
            )
