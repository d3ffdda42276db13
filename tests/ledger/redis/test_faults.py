"""One Redis that restarts, is demoted, is full, loads, or cannot save: what waits, and what is said."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.local.services.child_processes import child_processes
from pipeline.local.services.ports import HOST, free_port
from tests.rigs.redis.batch_halves import Lives, begin, end, lives
from tests.rigs.redis.nodes import PASSWORD, Node, make_node
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Microseconds a key, and how often it looks at its clients meanwhile.
SLOW_TO_LOAD = ("key-load-delay 50", "loading-process-events-interval-bytes 1024")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def node() -> AsyncIterator[Node]:
    with child_processes() as children:
        made = make_node(children, "alone", PASSWORD, "enable-debug-command yes", *SLOW_TO_LOAD)
        await made.daemon.start()
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def ours(node: Node, name: str) -> AsyncIterator[Lives]:
    async with lives(f"redis://{node.address}", name) as opened:
        yield opened


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call give up at once what it would wait for."""
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call wait for ever for what passes by itself: what comes at once is not waited for."""
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 1e9)


async def test_a_restart_in_the_middle_of_lives_is_waited_for(ours: Lives, node: Node) -> None:
    for number in range(20):
        await begin(ours.bench(number))
    node.daemon.kill()
    ends = [asyncio.create_task(end(ours.bench(number))) for number in range(20)]
    with pytest.raises(UnavailableError, match="there is no connection to it: see redis_url and the network"):
        await ours.ledger.ping()
    await node.daemon.start()
    await asyncio.gather(*ends)


async def test_a_client_that_never_reached_redis_waits_too(node: Node, name: str) -> None:
    node.daemon.kill()
    async with lives(f"redis://{node.address}", name) as opened:
        begun = asyncio.create_task(begin(opened.bench(0)))
        with pytest.raises(UnavailableError):
            await opened.ledger.ping()
        await node.daemon.start()
        await begun
        await end(opened.bench(0))


async def test_what_does_not_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0.2)
    async with Ledger.connect(f"redis://{HOST}:{free_port()}", PASSWORD, "prefix") as ledger:
        with pytest.raises(UnavailableError, match="there is no connection to it"):
            await ledger.phase("batch")


async def test_a_replica_is_waited_for_until_it_is_the_primary(ours: Lives, node: Node) -> None:
    await begin(ours.bench(0))
    before, connection = await refusals(node, "READONLY"), await connected(ours)
    await node.ask("REPLICAOF", HOST, free_port())
    rest = asyncio.create_task(end(ours.bench(0)))

    async def refused() -> bool:
        return await refusals(node, "READONLY") > before

    await wait_until(refused)
    await node.ask("REPLICAOF", "NO", "ONE")
    await rest
    assert await connected(ours) != connection


@pytest.mark.usefixtures("hasty")
async def test_a_replica_that_stays_one_is_named(ours: Lives, node: Node) -> None:
    await begin(ours.bench(0))
    await node.ask("REPLICAOF", HOST, free_port())
    with pytest.raises(UnavailableError, match="it is a read-only replica: redis_url must lead to the primary"):
        await ours.bench(0).settle(0, 1)
    await node.ask("REPLICAOF", "NO", "ONE")


@pytest.mark.usefixtures("patient")
async def test_a_full_redis_changes_nothing_says_so_and_goes_on_with_more_memory(ours: Lives, node: Node) -> None:
    bench = ours.bench(0)
    await begin(bench)
    await bench.age_duty("t:0")
    before = await bench.dump()
    await node.ask("CONFIG", "SET", "maxmemory", "1mb")
    for call in (lambda: bench.settle(3), lambda: bench.settle(0, 1), lambda: ours.bench(1).claim()):
        with pytest.raises(UnavailableError, match=r"out of memory \(maxmemory\), and nothing was written"):
            await call()
    await node.ask("CONFIG", "SET", "maxmemory", "0")
    assert await bench.dump() == before
    assert await ours.bench(1).dump() == {"hash": {}}
    await end(bench)


async def test_scripts_that_redis_forgot_are_sent_again(ours: Lives) -> None:
    await begin(ours.bench(0))
    await ours.redis.script_flush()
    await end(ours.bench(0))
    assert (await ours.bench(0).fields())["state"] == "done"


async def test_scripts_that_redis_forgets_between_the_sending_and_the_call_are_sent_again(
    ours: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, losses = ours.redis.script_load, [1, 2]

    async def in_vain(script: str) -> object:
        sent = await send(script)
        if losses:
            losses.pop()
            await ours.redis.script_flush()
        return sent

    monkeypatch.setattr(ours.redis, "script_load", in_vain)
    await ours.redis.script_flush()
    await begin(ours.bench(0))
    assert losses == []


async def test_a_redis_that_loads_its_data_is_waited_for(ours: Lives, node: Node) -> None:
    await begin(ours.bench(0))
    await node.ask("DEBUG", "POPULATE", 20_000, "filler", 100)
    await node.ask("BGREWRITEAOF")
    await wait_until(lambda: rewrote(node))
    node.daemon.kill()
    await node.daemon.start()
    rest = asyncio.create_task(end(ours.bench(0)))
    assert await loads(node)
    await rest
    assert await refusals(node, "LOADING") > 0


async def rewrote(node: Node) -> bool:
    async with node.client() as client:
        return bool((await client.info("persistence"))["aof_rewrite_in_progress"] == 0)


async def loads(node: Node) -> bool:
    async with node.client() as client:
        return bool((await client.info("persistence"))["loading"])


@pytest.mark.usefixtures("patient")
async def test_a_redis_that_cannot_save_says_so_at_once(name: str) -> None:
    with child_processes() as children:
        node = make_node(children, "unsaved", None, "appendonly no", "save 3600 1")
        await node.daemon.start()
        async with lives(f"redis://{node.address}", name, None) as opened:
            await begin(opened.bench(0))
            shutil.rmtree(node.folder)
            await node.ask("BGSAVE")
            await wait_until(lambda: could_not_save(node))
            with pytest.raises(UnavailableError, match="it cannot save to its disk: see its log"):
                await opened.bench(0).settle(3)
            await node.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
            await end(opened.bench(0))


async def could_not_save(node: Node) -> bool:
    async with node.client() as client:
        return bool((await client.info("persistence"))["rdb_last_bgsave_status"] == "err")


@pytest.mark.usefixtures("patient")
async def test_a_redis_with_too_few_replicas_says_so_at_once(ours: Lives, node: Node) -> None:
    await begin(ours.bench(0))
    await node.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    with pytest.raises(UnavailableError, match="min-replicas-to-write"):
        await ours.bench(0).settle(3)
    await node.ask("CONFIG", "SET", "min-replicas-to-write", 0)
    await end(ours.bench(0))


@pytest.mark.usefixtures("patient")
async def test_a_user_that_may_not_is_named_at_once(ours: Lives, node: Node) -> None:
    await node.ask("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+@read", "+@connection")
    async with Ledger.connect(f"redis://reader@{node.address}", PASSWORD, ours.prefix) as ledger:
        await ledger.ping()
        with pytest.raises(UnavailableError, match="its user may not run a command, or touch a key"):
            await ledger.phase("batch")


@pytest.mark.usefixtures("patient")
async def test_a_password_that_is_refused_or_missing_is_said_at_once_and_not_repeated(node: Node) -> None:
    for password, words in ((None, "it demands a password"), ("hunter2", "it refuses the password in the secret")):
        async with Ledger.connect(f"redis://{node.address}", password, "prefix") as ledger:
            with pytest.raises(UnavailableError, match=words) as caught:
                await ledger.phase("batch")
        assert "hunter2" not in str(caught.value)


async def refusals(node: Node, code: str) -> int:
    """How often the node has refused a command with this code."""
    async with node.client() as client:
        errors = await client.info("errorstats")
    return int(errors.get(f"errorstat_{code}", {"count": 0})["count"])


async def connected(ours: Lives) -> int:
    """The number that Redis gave the connection which the pool hands out now."""
    return int(await ours.redis.client_id())
