"""Commands that wait together share a round trip, but neither an error nor a cancellation."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.ledger.redis.client import open_redis
from pipeline.ledger.redis.pipelining import Bundles, Command
from pipeline.local.services.redis_and_s3 import RedisServer

SLOW = ("EVAL", "for i = 1, 1e6 do end return 'slow'", 0)


@pytest_asyncio.fixture(loop_scope="session")
async def bundles(redis_server: RedisServer) -> AsyncIterator[Bundles]:
    pool = ConnectionPool.from_url(redis_server.url, password=redis_server.password)
    yield Bundles(pool)
    await pool.aclose()


async def reads(redis: Redis) -> int:
    """The number of reads from connections by the server, without this one."""
    info = await redis.info("stats")
    return int(info["total_reads_processed"])


async def test_each_command_gets_its_own_reply(bundles: Bundles) -> None:
    echoes = await asyncio.gather(*(bundles.run(("ECHO", f"{number}")) for number in range(50)))
    assert echoes == [f"{number}".encode() for number in range(50)]


async def test_commands_waiting_for_a_round_trip_share_the_next_one(bundles: Bundles, redis: Redis) -> None:
    await bundles.run(("PING",))
    before = await reads(redis)
    first = asyncio.create_task(bundles.run(SLOW))
    await asyncio.sleep(0)
    await asyncio.gather(first, *(bundles.run(("PING",)) for _ in range(50)))
    assert await reads(redis) - before <= 3


async def test_error_belongs_to_one_command_only(bundles: Bundles) -> None:
    commands = (("ECHO", "a"), ("EVALSHA", "0" * 40, 0), ("NONSENSE",), ("ECHO", "b"))
    replies = await asyncio.gather(*(bundles.run(command) for command in commands), return_exceptions=True)
    assert [replies[0], replies[3]] == [b"a", b"b"]
    assert isinstance(replies[1], NoScriptError)
    assert isinstance(replies[2], ResponseError)


async def test_broken_connection_fails_its_commands_and_none_after(bundles: Bundles, redis: Redis) -> None:
    number = await bundles.run(("CLIENT", "ID"))
    await redis.client_kill_filter(_id=str(number))
    replies = await asyncio.gather(*(bundles.run(("ECHO", "a")) for _ in range(3)), return_exceptions=True)
    assert [type(reply) for reply in replies] == [RedisConnectionError] * 3
    assert await bundles.run(("ECHO", "b")) == b"b"
    assert await bundles.run(("CLIENT", "ID")) != number


async def test_connection_to_a_demoted_primary_is_closed(bundles: Bundles) -> None:
    number = await bundles.run(("CLIENT", "ID"))
    demoted = ("EVAL", 'return redis.error_reply("READONLY You can\'t write against a read only replica.")', 0)
    with pytest.raises(ReadOnlyError):
        await bundles.run(demoted)
    assert await bundles.run(("CLIENT", "ID")) != number


async def test_permanent_error_is_not_retried(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Command] = []

    async def refuse(_self: Bundles, command: Command) -> None:
        tried.append(command)
        raise ResponseError("ERR wrong kind of value")

    monkeypatch.setattr(Bundles, "run", refuse)
    async with open_redis(redis_server.url, redis_server.password) as ours:
        with pytest.raises(ResponseError, match="wrong kind"):
            await ours.register_script("return 1")()
    assert len(tried) == 1


async def test_late_replies_fail_with_their_connection(redis_server: RedisServer) -> None:
    pool = ConnectionPool.from_url(redis_server.url, password=redis_server.password, socket_timeout=0.05)
    bundles = Bundles(pool)
    commands = (("ECHO", "a"), ("BLPOP", "nothing comes here", 0), ("ECHO", "b"))
    waiting = await asyncio.gather(*(bundles.run(command) for command in commands), return_exceptions=True)
    assert [type(reply) for reply in waiting] == [RedisTimeoutError] * 3
    assert await bundles.run(("ECHO", "c")) == b"c"
    await pool.aclose()


async def test_cancelled_command_leaves_the_others_running(bundles: Bundles) -> None:
    slow = asyncio.create_task(bundles.run(SLOW))
    given_up = asyncio.create_task(bundles.run(("ECHO", "a")))
    kept = asyncio.create_task(bundles.run(("ECHO", "b")))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await kept == b"b"
    assert await slow == b"slow"
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_scripts_of_the_ledger_client_share_round_trips(redis_server: RedisServer, redis: Redis) -> None:
    async with open_redis(redis_server.url, redis_server.password) as ours:
        script = ours.register_script("return ARGV[1]")
        assert await script(args=["first"]) == b"first"
        before = await reads(redis)
        assert await asyncio.gather(*(script(args=[number]) for number in range(50))) == [
            str(number).encode() for number in range(50)
        ]
        assert await reads(redis) - before <= 3
