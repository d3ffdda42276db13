"""Redis servers as they are deployed: alone with chosen settings, as a cluster, with sentinels."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.local.services.binaries import redis_binary
from pipeline.local.services.child_processes import Children, child_processes
from pipeline.local.services.daemon import Daemon
from pipeline.local.services.ports import HOST, free_ports, is_listening
from tests.rigs.waiting import wait_until

PASSWORD = "the password of the nodes"
SERVICE = "ledger"
SLOTS = 16384


@dataclass(frozen=True)
class Node:
    """One server process; it keeps its data through `daemon.kill()` and `daemon.start()`."""

    daemon: Daemon
    port: int
    folder: Path
    password: str | None = field(repr=False)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def client(self) -> Redis:
        """A client of this node alone; it does not try again."""
        return Redis(host=HOST, port=self.port, password=self.password, decode_responses=True)

    async def ask(self, *command: str | int) -> object:
        """The node's own answer to one command."""
        async with self.client() as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def follows(self) -> bool:
        """Whether it is a replica that has its primary's data."""
        async with self.client() as client:
            return bool((await client.info("replication")).get("master_link_status") == "up")

    async def is_primary(self) -> bool:
        async with self.client() as client:
            return bool((await client.info("replication"))["role"] == "master")

    async def is_level_with(self, primary: "Node") -> bool:
        """Whether this replica has all the data of the primary."""
        async with self.client() as mine, primary.client() as theirs:
            got, made = await mine.info("replication"), await theirs.info("replication")
        return bool(got["master_link_status"] == "up" and got["slave_repl_offset"] == made["master_repl_offset"])

    async def sees_all(self) -> bool:
        """Whether this sentinel knows the replica and the two other sentinels."""
        async with self.client() as client:
            states: Any = await client.sentinel_masters()
            state = states[SERVICE]
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)


def make_node(children: Children, name: str, password: str | None = None, *options: str, mode: str = "") -> Node:
    """Make a server that is not started yet. `options` are lines of its configuration, `mode` a flag."""
    (port,) = free_ports(1, offset=0)
    folder = children.directory / name
    folder.mkdir(mode=0o700)
    lines = [f"bind {HOST}", f"port {port}", f"dir {folder}"]
    if mode != "--sentinel":
        lines += ["save ''", "appendonly yes", "appendfsync always"]
    lines += options
    if password:
        lines += [f'requirepass "{password}"']
        if mode != "--sentinel":
            lines += [f'masterauth "{password}"']
    configuration = folder / "redis.conf"
    configuration.write_text("\n".join(lines) + "\n")
    command = (redis_binary(), str(configuration), *([mode] if mode else []))
    return Node(Daemon(children, command, os.environ, partial(is_listening, HOST, port), 30), port, folder, password)


@dataclass(frozen=True)
class RedisNodes:
    """Primaries with a third of the slots each, then their replicas."""

    nodes: tuple[Node, ...]

    @property
    def primaries(self) -> tuple[Node, ...]:
        return self.nodes[:3]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    async def is_whole(self) -> bool:
        """Whether each node that runs knows of all nodes and of all slots."""
        running = [node for node in self.nodes if node.daemon.pid is not None]
        try:
            answers = [str(await node.ask("CLUSTER", "INFO")) for node in running]
        except (RedisError, OSError):
            return False
        return all("cluster_state:ok" in text and f"known_nodes:{len(self.nodes)}" in text for text in answers)


@dataclass
class Service:
    """An address that forwards to a port that may change, as a service of Kubernetes does."""

    port: int

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        """Listen, and yield the port."""
        async with await asyncio.start_server(self._forward, HOST, 0) as server:
            yield int(server.sockets[0].getsockname()[1])

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self.port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def redis_cluster(*, replicas: int = 0, password: str | None = PASSWORD) -> AsyncIterator[RedisNodes]:
    """Run three primaries, and `replicas` replicas of the first."""
    with child_processes() as children:
        nodes = tuple(_cluster_node(children, f"node-{number}", password) for number in range(3 + replicas))
        for node in nodes:
            await node.daemon.start()
        for number, node in enumerate(nodes[:3]):
            await node.ask("CLUSTER", "ADDSLOTSRANGE", SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1)
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            await nodes[0].ask("CLUSTER", "MEET", HOST, node.port, _bus_port(node))
        cluster = RedisNodes(nodes)
        await wait_until(cluster.is_whole)
        first = str(await nodes[0].ask("CLUSTER", "MYID"))
        for node in nodes[3:]:
            await node.ask("CLUSTER", "REPLICATE", first)
            await wait_until(node.follows)
        yield cluster


def _cluster_node(children: Children, name: str, password: str | None) -> Node:
    (bus,) = free_ports(1, offset=0)
    options = ("cluster-enabled yes", f"cluster-port {bus}", "cluster-node-timeout 2000")
    return make_node(children, name, password, *options, "repl-diskless-sync-delay 0")


def _bus_port(node: Node) -> int:
    lines = (node.folder / "redis.conf").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("cluster-port")).split()[1])


@dataclass(frozen=True)
class Watched:
    """A primary, its replica, and sentinels that promote the replica when the primary is away."""

    primary: Node
    replica: Node
    sentinels: tuple[Node, ...]

    async def lose_the_primary(self) -> None:
        """Kill the primary once the replica has all its data."""
        await wait_until(lambda: self.replica.is_level_with(self.primary))
        self.primary.daemon.kill()

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(node.address for node in self.sentinels)}/{SERVICE}"


@contextlib.asynccontextmanager
async def watched_primary(*, sentinel_password: str | None = None) -> AsyncIterator[Watched]:
    """Run a primary and a replica with PASSWORD, and three sentinels of which two must agree."""
    with child_processes() as children:
        at_once = "repl-diskless-sync-delay 0"
        primary = make_node(children, "primary", PASSWORD, at_once)
        replica = make_node(children, "replica", PASSWORD, at_once, f"replicaof {HOST} {primary.port}")
        for node in (primary, replica):
            await node.daemon.start()
        await wait_until(replica.follows)
        sentinels = tuple(_sentinel(children, number, primary, sentinel_password) for number in range(3))
        for node in sentinels:
            await node.daemon.start()
        watched = Watched(primary, replica, sentinels)
        for node in sentinels:
            await wait_until(node.sees_all)
        yield watched


def _sentinel(children: Children, number: int, primary: Node, password: str | None) -> Node:
    options = [
        f"sentinel monitor {SERVICE} {HOST} {primary.port} 2",
        f'sentinel auth-pass {SERVICE} "{PASSWORD}"',
        f"sentinel down-after-milliseconds {SERVICE} 1000",
        f"sentinel failover-timeout {SERVICE} 5000",
    ]
    if password:
        options += [f'sentinel sentinel-pass "{password}"']
    return make_node(children, f"sentinel-{number}", password, *options, mode="--sentinel")
