"""Functions as processes: started, in turn, restarted, and clear about why they did not start."""

import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession

from pipeline.local.errors import FunctionStartError, LocalError
from pipeline.local.openfaas.functions import Function, FunctionSpec
from pipeline.local.openfaas.gateway import LocalGateway
from pipeline.local.services.child_processes import child_processes
from pipeline.local.services.ports import free_port
from tests.rigs.openfaas import environment_function
from tests.rigs.waiting import wait_until

COMMAND = (sys.executable, "-S", environment_function.__file__)


@contextlib.asynccontextmanager
async def running(spec: FunctionSpec) -> AsyncIterator[tuple[Function, ClientSession, str]]:
    with child_processes() as children:
        async with ClientSession() as client, LocalGateway() as gateway:
            function = Function(spec, children, client)
            await function.start()
            gateway.add(function)
            try:
                yield function, client, f"{gateway.url}/function/{spec.name}"
            finally:
                await function.stop()


async def ask(client: ClientSession, url: str) -> dict[str, Any]:
    async with client.get(url) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json(content_type=None)
        return answer


async def test_replicas_are_processes_called_in_turn() -> None:
    async with running(FunctionSpec("model", COMMAND, {"greeting": "hi"}, replicas=2)) as (function, client, url):
        answers = [await ask(client, url) for _ in range(4)]
        first, second, *again = [answer["pid"] for answer in answers]
        assert [first, second] == again
        assert {first, second} == set(function.pids())
        environments = [answer["environment"] for answer in answers[:2]]
        assert environments[0]["port"] == environments[0]["PORT"] != environments[1]["port"]
        assert [environment["greeting"] for environment in environments] == ["hi", "hi"]
    assert not any(psutil.pid_exists(pid) for pid in (first, second))


async def test_dead_replica_is_started_again() -> None:
    async with running(FunctionSpec("model", COMMAND)) as (function, client, url):
        (before,) = function.pids()
        async with client.get(url + "/exit") as response:
            assert response.status == 502
        await wait_until(lambda: function.replicas[0].ready and function.pids() not in ([], [before]))
        assert function.restarts == 1
        assert (await ask(client, url))["pid"] in function.pids()


async def test_other_replicas_answer_while_one_is_down() -> None:
    async with running(FunctionSpec("model", COMMAND, replicas=2)) as (function, client, url):
        killed, left = function.pids()
        function.replicas[0].kill()
        assert left in {(await ask(client, url))["pid"] for _ in range(3)}
        await wait_until(lambda: all(replica.ready for replica in function.replicas))
        assert killed not in function.pids()
        assert len(function.pids()) == 2


async def test_external_function_is_not_killed() -> None:
    async with running(FunctionSpec("model", COMMAND)) as (function, _, __):
        url = function.replicas[0].url
        async with running(FunctionSpec("elsewhere", url=url)) as (elsewhere, client, address):
            with pytest.raises(LocalError, match="not started by this stack"):
                elsewhere.replicas[0].kill()
            assert (await ask(client, address))["pid"] in function.pids()


async def test_gateway_answers_at_once_without_a_live_replica() -> None:
    async with running(FunctionSpec("model", COMMAND)) as (function, client, url):
        function.replicas[0].kill()
        async with client.get(url) as response:
            assert response.status == 502


async def test_function_that_fails_to_start_is_an_error_with_its_output() -> None:
    script = "import sys; print('\\n'.join(f'line {n}' for n in range(30))); print('no such model'); sys.exit(3)"
    with pytest.raises(FunctionStartError) as caught:
        async with running(FunctionSpec("model", (sys.executable, "-c", script))):
            pytest.fail("it never listened")
    message = str(caught.value)
    assert message.startswith("function model exited with code 3 while starting:\nline 11\n")
    assert message.endswith("line 29\nno such model")


async def test_one_failing_replica_ends_the_others(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = f"import os, runpy, sys; os.mkdir({str(lock)!r}); runpy.run_path({COMMAND[2]!r}, run_name='__main__')"
    with child_processes() as children:
        async with ClientSession() as client:
            function = Function(FunctionSpec("model", (sys.executable, "-c", script), replicas=2), children, client)
            with pytest.raises(FunctionStartError, match="File exists"):
                await function.start()
            assert function.pids() == []


async def test_missing_program_is_named() -> None:
    with pytest.raises(FunctionStartError, match=r"function model exited with code 12[67](.|\n)*no-such-program"):
        async with running(FunctionSpec("model", ("/no-such-program",))):
            pytest.fail("it does not exist")


async def test_port_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr("pipeline.local.openfaas.functions.free_port", lambda: next(ports, None) or free_port())
        async with running(FunctionSpec("model", COMMAND)) as (function, client, url):
            assert (await ask(client, url))["pid"] in function.pids()
    assert next(ports, None) is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "command or a url"),
        ({"command": ("x",), "url": "http://x"}, "command or a url"),
        ({"command": ("x",), "replicas": 0}, "at least one replica"),
    ],
)
def test_contradictory_spec_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalError, match=reason):
        FunctionSpec("model", **arguments)
