"""What a batch leaves behind is noticed, and so is what belongs to no batch."""

from redis.asyncio import Redis

from bench.kit.leftovers import clean_within
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.services.redis_and_s3 import redis_server, s3_server


async def test_leftovers_of_a_batch_are_described() -> None:
    async with (
        redis_server() as server,
        s3_server() as s3,
        open_bucket(s3.info) as bucket,
        Redis.from_url(server.url, password=server.password) as redis,
    ):
        assert await clean_within(60, bucket, redis) == []

        await redis.zadd("pipeline:open", {"b": 1})
        await redis.set("pipeline:{b}", "1", ex=60)
        await bucket.put("open/pipeline/b", b"")
        await bucket.client.create_multipart_upload(Bucket=bucket.name, Key="b.json")

        for batch in ("", "b"):
            assert await clean_within(0, bucket, redis, batch) == [
                "upload left: b.json",
                "mark of an open batch left: open/pipeline/b",
                "entry of the index left: b",
                "key without TTL: pipeline:open",
            ]
