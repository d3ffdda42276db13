"""One Redis that restarts, is demoted, is full, loads, or cannot save: which calls wait, and which errors they get."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.local.services.child_processes import child_processes
from pipeline.local.services.ports import HOST, free_port
from tests.rigs.redis.batch_halves import OpenLedger, begin, end, open_ledger
from tests.rigs.redis.nodes import PASSWORD, Node, make_node
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Microseconds a key, and the bytes after which it serves its clients in between.
SLOW_TO_LOAD = ("key-load-delay 50", "loading-process-events-interval-bytes 1024")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def node() -> AsyncIterator[Node]:
    with child_processes() as children:
        made = make_node(children, "alone", PASSWORD, "enable-debug-command yes", *SLOW_TO_LOAD)
        await made.daemon.start()
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def opened(node: Node, name: str) -> AsyncIterator[OpenLedger]:
    async with open_ledger(f"redis://{node.address}", name) as opened:
        yield opened


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call fail at once instead of waiting."""
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call wait for ever for a transient error: an error at once is a permanent one."""
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 1e9)


async def test_calls_wait_through_a_restart(opened: OpenLedger, node: Node) -> None:
    for number in range(20):
        await begin(opened.bench(number))
    node.daemon.kill()
    ends = [asyncio.create_task(end(opened.bench(number))) for number in range(20)]
    with pytest.raises(UnavailableError, match="there is no connection to it: see redis_url and the network"):
        await opened.ledger.ping()
    await node.daemon.start()
    await asyncio.gather(*ends)


async def test_first_connection_waits_for_redis_to_start(node: Node, name: str) -> None:
    node.daemon.kill()
    async with open_ledger(f"redis://{node.address}", name) as opened:
        begun = asyncio.create_task(begin(opened.bench(0)))
        with pytest.raises(UnavailableError):
            await opened.ledger.ping()
        await node.daemon.start()
        await begun
        await end(opened.bench(0))


async def test_call_fails_after_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0.2)
    async with Ledger.connect(f"redis://{HOST}:{free_port()}", PASSWORD, "prefix") as ledger:
        with pytest.raises(UnavailableError, match="there is no connection to it"):
            await ledger.phase("batch")


async def test_calls_wait_until_a_replica_is_the_primary_again(opened: OpenLedger, node: Node) -> None:
    await begin(opened.bench(0))
    before, connection = await refusals(node, "READONLY"), await connection_id(opened)
    await node.ask("REPLICAOF", HOST, free_port())
    rest = asyncio.create_task(end(opened.bench(0)))

    async def refused() -> bool:
        return await refusals(node, "READONLY") > before

    await wait_until(refused)
    await node.ask("REPLICAOF", "NO", "ONE")
    await rest
    assert await connection_id(opened) != connection


@pytest.mark.usefixtures("impatient")
async def test_lasting_replica_is_named(opened: OpenLedger, node: Node) -> None:
    await begin(opened.bench(0))
    await node.ask("REPLICAOF", HOST, free_port())
    with pytest.raises(UnavailableError, match="it is a read-only replica: redis_url must lead to the primary"):
        await opened.bench(0).settle(0, 1)
    await node.ask("REPLICAOF", "NO", "ONE")


@pytest.mark.usefixtures("patient")
async def test_full_redis_refuses_writes_until_it_has_more_memory(opened: OpenLedger, node: Node) -> None:
    bench = opened.bench(0)
    await begin(bench)
    await bench.age_duty("t:0")
    before = await bench.dump()
    await node.ask("CONFIG", "SET", "maxmemory", "1mb")
    for call in (lambda: bench.settle(3), lambda: bench.settle(0, 1), lambda: opened.bench(1).claim()):
        with pytest.raises(UnavailableError, match=r"out of memory \(maxmemory\), and nothing was written"):
            await call()
    await node.ask("CONFIG", "SET", "maxmemory", "0")
    assert await bench.dump() == before
    assert await opened.bench(1).dump() == {"hash": {}}
    await end(bench)


async def test_scripts_forgotten_by_redis_are_sent_again(opened: OpenLedger) -> None:
    await begin(opened.bench(0))
    await opened.redis.script_flush()
    await end(opened.bench(0))
    assert (await opened.bench(0).fields())["state"] == "done"


async def test_scripts_forgotten_between_load_and_call_are_sent_again(
    opened: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, losses = opened.redis.script_load, [1, 2]

    async def in_vain(script: str) -> object:
        sent = await send(script)
        if losses:
            losses.pop()
            await opened.redis.script_flush()
        return sent

    monkeypatch.setattr(opened.redis, "script_load", in_vain)
    await opened.redis.script_flush()
    await begin(opened.bench(0))
    assert losses == []


async def test_calls_wait_while_redis_loads_its_data(opened: OpenLedger, node: Node) -> None:
    await begin(opened.bench(0))
    await node.ask("DEBUG", "POPULATE", 20_000, "filler", 100)
    await node.ask("BGREWRITEAOF")
    await wait_until(lambda: has_rewritten(node))
    node.daemon.kill()
    await node.daemon.start()
    rest = asyncio.create_task(end(opened.bench(0)))
    assert await is_loading(node)
    await rest
    assert await refusals(node, "LOADING") > 0


async def has_rewritten(node: Node) -> bool:
    async with node.client() as client:
        return bool((await client.info("persistence"))["aof_rewrite_in_progress"] == 0)


async def is_loading(node: Node) -> bool:
    async with node.client() as client:
        return bool((await client.info("persistence"))["loading"])


@pytest.mark.usefixtures("patient")
async def test_redis_that_cannot_save_is_an_error_at_once(name: str) -> None:
    with child_processes() as children:
        node = make_node(children, "unsaved", None, "appendonly no", "save 3600 1")
        await node.daemon.start()
        async with open_ledger(f"redis://{node.address}", name, None) as opened:
            await begin(opened.bench(0))
            shutil.rmtree(node.folder)
            await node.ask("BGSAVE")
            await wait_until(lambda: has_failed_to_save(node))
            with pytest.raises(UnavailableError, match="it cannot save to its disk: see its log"):
                await opened.bench(0).settle(3)
            await node.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
            await end(opened.bench(0))


async def has_failed_to_save(node: Node) -> bool:
    async with node.client() as client:
        return bool((await client.info("persistence"))["rdb_last_bgsave_status"] == "err")


@pytest.mark.usefixtures("patient")
async def test_redis_with_too_few_replicas_is_an_error_at_once(opened: OpenLedger, node: Node) -> None:
    await begin(opened.bench(0))
    await node.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    with pytest.raises(UnavailableError, match="min-replicas-to-write"):
        await opened.bench(0).settle(3)
    await node.ask("CONFIG", "SET", "min-replicas-to-write", 0)
    await end(opened.bench(0))


@pytest.mark.usefixtures("patient")
async def test_user_without_permission_is_an_error_at_once(opened: OpenLedger, node: Node) -> None:
    await node.ask("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+@read", "+@connection")
    async with Ledger.connect(f"redis://reader@{node.address}", PASSWORD, opened.prefix) as ledger:
        await ledger.ping()
        with pytest.raises(UnavailableError, match="its user may not run a command, or touch a key"):
            await ledger.phase("batch")


@pytest.mark.usefixtures("patient")
async def test_wrong_password_is_an_error_at_once_that_does_not_repeat_it(node: Node) -> None:
    for password, words in ((None, "it demands a password"), ("hunter2", "it refuses the password in the secret")):
        async with Ledger.connect(f"redis://{node.address}", password, "prefix") as ledger:
            with pytest.raises(UnavailableError, match=words) as caught:
                await ledger.phase("batch")
        assert "hunter2" not in str(caught.value)


async def refusals(node: Node, code: str) -> int:
    """The number of commands that the node has refused with this code."""
    async with node.client() as client:
        errors = await client.info("errorstats")
    return int(errors.get(f"errorstat_{code}", {"count": 0})["count"])


async def connection_id(opened: OpenLedger) -> int:
    """The id that Redis gave the connection which the pool uses now."""
    return int(await opened.redis.client_id())
