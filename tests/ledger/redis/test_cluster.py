"""The ledger on a real cluster: nodes restart, fail over and move slots while batches run."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio
from redis.asyncio import RedisCluster

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.local.services.ports import HOST, free_port
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.batch_halves import OpenLedger, begin, end, on_ledger, open_ledger
from tests.rigs.redis.nodes import PASSWORD, Node, RedisNodes, Service, redis_cluster
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BATCHES = range(9)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def cluster() -> AsyncIterator[RedisNodes]:
    async with redis_cluster(replicas=1) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def opened(cluster: RedisNodes, name: str) -> AsyncIterator[OpenLedger]:
    """The ledger of one test, as a replica of the function opens it."""
    async with open_ledger(cluster.url, name) as opened:
        yield opened


async def owner(opened: OpenLedger, cluster: RedisNodes, number: int) -> Node:
    """The node that holds a batch."""
    client = cast("RedisCluster", opened.redis)
    await client.initialize()
    found = client.get_node_from_key(opened.bench(number).key())
    return next(node for node in cluster.nodes if found and node.port == found.port)


async def batches_on(opened: OpenLedger, cluster: RedisNodes, *nodes: int) -> list[int]:
    """The numbers of the batches on these nodes."""
    wanted = [cluster.nodes[node] for node in nodes]
    return [number for number in BATCHES if await owner(opened, cluster, number) in wanted]


async def slot_of(opened: OpenLedger, number: int) -> int:
    return cast("RedisCluster", opened.redis).keyslot(opened.bench(number).key())


async def test_batches_on_every_node_run_to_their_end(opened: OpenLedger, cluster: RedisNodes) -> None:
    for number in BATCHES:
        await begin(opened.bench(number))
    assert len({(await owner(opened, cluster, number)).port for number in BATCHES}) == 3
    for number in BATCHES:
        await end(opened.bench(number))


async def test_batches_run_through_the_restart_of_a_node(opened: OpenLedger, cluster: RedisNodes) -> None:
    for number in BATCHES:
        await begin(opened.bench(number))
    node = cluster.nodes[1]
    stuck = await batches_on(opened, cluster, 1)
    assert stuck
    node.daemon.kill()
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(end(opened.bench(number), lossy=True)) for number in BATCHES]
        await asyncio.wait([ends[number] for number in BATCHES if number not in stuck], return_when="FIRST_COMPLETED")
        assert not any(ends[number].done() for number in stuck)
        await node.daemon.start()
    await wait_until(cluster.is_whole)


async def test_batch_runs_through_a_takeover_by_a_replica(opened: OpenLedger, cluster: RedisNodes) -> None:
    number = (await batches_on(opened, cluster, 0, 3))[0]
    await begin(opened.bench(number))
    node = await owner(opened, cluster, number)
    follower = next(other for other in (cluster.nodes[0], cluster.nodes[3]) if other is not node)
    await wait_until(lambda: follower.is_level_with(node))
    node.daemon.kill()
    await end(opened.bench(number))
    assert await owner(opened, cluster, number) is follower
    await node.daemon.start()
    await wait_until(node.follows)
    await wait_until(cluster.is_whole)


async def test_batch_runs_through_the_move_of_its_slot(opened: OpenLedger, cluster: RedisNodes) -> None:
    number = (await batches_on(opened, cluster, 2))[0]
    await begin(opened.bench(number))
    source, target = cluster.nodes[2], cluster.nodes[1]
    slot = await slot_of(opened, number)
    source_id, target_id = str(await source.ask("CLUSTER", "MYID")), str(await target.ask("CLUSTER", "MYID"))
    await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    keys = cast("list[str]", await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100))
    first = [key for key in keys if key.endswith((":settled", ":remaining"))]
    assert len(first) == 2
    await source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *first)
    rest = asyncio.create_task(end(opened.bench(number)))
    await wait_until(lambda: has_redirected(source, "TRYAGAIN"))
    await source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *(set(keys) - set(first)))
    await wait_until(lambda: has_redirected(source, "ASK"))
    for node in (target, source):
        await node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    await rest
    assert await owner(opened, cluster, number) is target


async def has_redirected(node: Node, code: str) -> bool:
    """Whether this node has redirected a client, or made it wait."""
    async with node.client() as client:
        errors: dict[str, Any] = await client.info("errorstats")
    return f"errorstat_{code}" in errors


async def test_connections_closed_during_calls_are_opened_again(opened: OpenLedger) -> None:
    """redis-py closes all connections, under all calls, when a node says that the cluster is down."""
    for number in BATCHES:
        await begin(opened.bench(number))
    asked = [asyncio.create_task(opened.ledger.phase(f"batch-{number}")) for number in BATCHES for _ in range(100)]
    waiting = set(asked)
    # Each time after a call has returned: closing faster than a slow machine opens lets no call through.
    for _ in range(25):
        await opened.redis.aclose()
        if waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert {phase.state for phase in await asyncio.gather(*asked) if phase} == {"running"}


async def test_connection_closed_just_before_a_write_is_opened_again(
    opened: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, faults = RedisCluster.execute_command, [AttributeError("'NoneType' object has no attribute 'writelines'")]

    async def closed(self: RedisCluster, *args: Any, **options: Any) -> Any:
        if faults:
            raise faults.pop()
        return await execute(self, *args, **options)

    monkeypatch.setattr(RedisCluster, "execute_command", closed)
    assert await opened.ledger.phase("batch") is None
    assert faults == []


async def test_cluster_at_new_addresses_is_found_by_the_name_in_the_url(name: str) -> None:
    async with redis_cluster() as old, redis_cluster() as new:
        moving = Service(old.nodes[0].port)
        async with moving.served() as port, open_ledger(f"redis+cluster://{HOST}:{port}", name) as opened:
            await begin(opened.bench(0))
            moving.port = new.nodes[0].port
            for node in old.nodes:
                node.daemon.kill()
            await begin(opened.bench(0))


async def test_scripts_forgotten_by_every_node_are_sent_again(opened: OpenLedger) -> None:
    for number in BATCHES:
        await begin(opened.bench(number))
    await opened.redis.script_flush()
    for number in BATCHES:
        await end(opened.bench(number))
    states = {(await opened.bench(number).fields())["state"] for number in BATCHES}
    assert states == {"done"}


async def test_check_server_refuses_one_node_that_may_evict_keys(opened: OpenLedger, cluster: RedisNodes) -> None:
    await opened.ledger.check_server()
    for node in cluster.nodes[1:3]:
        await node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(UnavailableError, match="maxmemory-policy allkeys-lru"):
            await opened.ledger.check_server()
        await node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await opened.ledger.check_server()


async def test_one_reachable_node_of_the_url_finds_the_others(cluster: RedisNodes, name: str) -> None:
    url = f"redis+cluster://{HOST}:{free_port()},{cluster.nodes[2].address}"
    async with open_ledger(url, name) as opened:
        await opened.ledger.ping()
        for number in BATCHES:
            await begin(opened.bench(number))


async def test_wrong_password_of_a_cluster_is_an_error_at_once(
    cluster: RedisNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 1e9)
    for password, words in ((None, "it demands a password"), ("wrong", "it refuses the password")):
        async with Ledger.connect(cluster.url, password, "prefix") as ledger:
            with pytest.raises(UnavailableError, match=words):
                await ledger.phase("batch")


async def test_ping_of_an_unreachable_cluster_names_redis_url_at_once() -> None:
    async with Ledger.connect(f"redis+cluster://{HOST}:{free_port()}", None, "prefix") as ledger:
        with pytest.raises(UnavailableError, match="there is no connection to it: see redis_url"):
            await ledger.ping()


async def test_single_node_url_of_a_cluster_names_the_right_url(cluster: RedisNodes) -> None:
    troubles = set()
    for node in cluster.nodes[:3]:
        async with Ledger.connect(f"redis://{node.address}", PASSWORD, "prefix") as ledger:
            try:
                await ledger.phase("batch")
            except UnavailableError as error:
                troubles.add(str(error))
    assert troubles == {"Redis cannot serve this now (MovedError): " + MOVED}


MOVED = "it is a node of a cluster: write redis+cluster:// in redis_url"


async def test_whole_batch_runs_on_a_cluster(pipeline: PipelineBench, opened: OpenLedger) -> None:
    bench = on_ledger(pipeline, opened)
    bench.serve(answering(lambda text: (422 if text == "bad" else 200, text.upper())))
    rows = [*(f"row {number}" for number in range(20)), "bad"]
    await bench.submit_rows(*rows, chunk="3")
    await bench.deliver_all()
    summary = await bench.summary()
    assert [entry["url"] for entry in summary["results"]["results"]] == rows[:-1]
    assert [entry["url"] for entry in summary["failures"]["results"]] == ["bad"]
    assert (await bench.status())["state"] == "done"
    assert await bench.sweep() == {"open": 0}


async def test_doctor_asks_every_primary(opened: OpenLedger) -> None:
    probes = opened.bench(0).ledger.probes
    servers = await probes.servers()
    assert [info["role"] for info in servers] == ["master"] * 3
    assert abs(await probes.clock() - time.time()) < 60
    assert await probes.saves() is False
    for number in BATCHES:
        await probes.begin(str(number))
        assert await probes.note(str(number), "invoked", "200")
        assert await probes.seen(str(number)) == {"invoked": "200"}
        await probes.end(str(number))
        assert not await probes.note(str(number), "invoked", "200")
