"""The address of a local stack's bucket, and a client for it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from types_aiobotocore_s3.client import S3Client


@dataclass(frozen=True)
class S3Info:
    """Endpoint, bucket and keys of an S3 service; the bucket is addressed by path."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)


def s3_client(info: S3Info, **options: Any) -> "AbstractAsyncContextManager[S3Client]":
    """Open a client; `options` are those of a botocore Config."""
    return get_session().create_client(
        "s3",
        endpoint_url=info.endpoint,
        region_name=info.region,
        aws_access_key_id=info.access_key,
        aws_secret_access_key=info.secret_key,
        config=AioConfig(signature_version="s3v4", s3={"addressing_style": "path"}, **options),
    )
