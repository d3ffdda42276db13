"""`pipeline doctor`: checks from this machine, and the checks of the function."""

from __future__ import annotations

import itertools
import json
import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.local.services.ports import free_port
from tests.rigs.client.contract import TOKEN, Answer, contract
from tests.rigs.client.run_cli import run

if TYPE_CHECKING:
    from tests.rigs.client.contract import Contract

REDIS = {"name": "redis: eviction policy", "status": "ok", "found": "noeviction", "advice": ""}


async def checks(server: Contract, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the checks by name."""
    result = await run(server, "doctor", "--json", *arguments)
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)["checks"]}


async def test_healthy_installation_has_exit_code_0() -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [REDIS], "now": time.time()})
        code, found = await checks(server)
    assert code == 0
    assert {name: check["status"] for name, check in found.items()} == {
        "gateway: reachable": "ok",
        "function: answers": "ok",
        "token: accepted": "ok",
        "clock: as this machine's": "ok",
        "gateway: upstream_timeout": "unknown",
        "redis: eviction policy": "ok",
    }
    assert found["token: accepted"]["found"] == "none is required"


async def test_table_and_advice_are_printed() -> None:
    failed = {**REDIS, "status": "failed", "found": "allkeys-lru", "advice": "set maxmemory-policy noeviction"}
    async with contract() as server:
        server.answer("doctor", {"checks": [failed], "now": time.time()})
        result = await run(server, "doctor")
    assert result.exit_code == 1
    assert "allkeys-lru" in result.stdout
    assert "redis: eviction policy: set maxmemory-policy noeviction\n" in result.stdout


async def test_warning_has_exit_code_0() -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [{**REDIS, "status": "warning"}], "now": time.time()})
        assert (await checks(server))[0] == 0


async def test_unreachable_gateway_is_the_only_check() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = await run(None, "doctor", "--json", "--gateway", url)
    assert result.exit_code == 1
    (check,) = json.loads(result.stdout)["checks"]
    assert (check["name"], check["status"]) == ("gateway: reachable", "failed")
    assert check["found"].startswith(f"{url} does not answer: ")
    assert "check --gateway (or OPENFAAS_URL)" in check["advice"]


async def test_missing_function_fails() -> None:
    async with contract() as server:
        code, found = await checks(server, "--pipeline-name", "other")
    assert code == 1
    assert found["function: answers"]["status"] == "failed"
    assert "the gateway knows no function other" in found["function: answers"]["found"]
    assert "faas-cli up" in found["function: answers"]["advice"]
    assert found["token: accepted"]["status"] == "unknown"


async def test_old_function_without_a_doctor_is_a_warning() -> None:
    async with contract() as server:
        code, found = await checks(server)
    assert code == 0
    assert found["function: answers"]["status"] == "warning"
    assert "too old" in found["function: answers"]["found"]
    assert "deploy the current version" in found["function: answers"]["advice"]
    assert found["token: accepted"]["status"] == "unknown"
    # Compared with the Date of the gateway.
    assert found["clock: as this machine's"]["status"] == "ok"


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_token_fails(status: int) -> None:
    async with contract() as server:
        server.answer("doctor", Answer({"error": "the header Authorization is missing"}, status))
        code, found = await checks(server)
    assert code == 1
    assert found["function: answers"]["status"] == "ok"
    assert found["token: accepted"]["status"] == "failed"
    assert "--token-file" in found["token: accepted"]["advice"]


async def test_accepted_token_is_ok_and_not_printed() -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [], "now": time.time()})
        result = await run(server, "doctor", "--json", PIPELINE_TOKEN=TOKEN)
    assert "it is, or none is required" in result.stdout
    assert TOKEN not in result.stdout


async def test_function_that_answers_503_is_asked_once() -> None:
    async with contract() as server:
        server.answer("doctor", Answer({"error": "Redis is away"}, 503))
        code, found = await checks(server)
    assert code == 1
    assert found["function: answers"]["status"] == "failed"
    assert "Redis is away" in found["function: answers"]["found"]
    assert found["function: answers"]["advice"] == "see its log: faas-cli logs pipeline"
    assert len(server.seen) == 1


@pytest.mark.parametrize(("off", "direction"), [(600, "ahead"), (-600, "behind")])
async def test_clock_difference_is_a_warning(off: int, direction: str) -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [], "now": time.time() + off})
        code, found = await checks(server)
    clock = found["clock: as this machine's"]
    assert (code, clock["status"]) == (0, "warning")
    assert re.fullmatch(rf"the other clock is \d+ s {direction}", clock["found"])


async def test_slow_answer_is_not_a_clock_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each reading of the clock is a minute later: at the gateway, then before and after the request.
    ticks = itertools.count(1_000_000.0, 60.0)
    monkeypatch.setattr("pipeline.cli.doctor.time", SimpleNamespace(time=lambda: next(ticks)))
    async with contract() as server:
        server.answer("doctor", {"checks": [], "now": 1_000_119.0})
        _, found = await checks(server)
    assert next(ticks) == 1_000_180.0
    assert found["clock: as this machine's"]["status"] == "ok"
