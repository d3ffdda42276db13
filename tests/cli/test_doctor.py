"""`pipeline doctor`: what is checked from here, and what the function says of itself."""

from __future__ import annotations

import itertools
import json
import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.local.services.ports import free_port
from tests.rigs.client.cli_cases import run
from tests.rigs.client.contract import TOKEN, Answer, contract

if TYPE_CHECKING:
    from tests.rigs.client.contract import Contract

REDIS = {"name": "redis: eviction policy", "status": "ok", "found": "noeviction", "advice": ""}


async def checks(server: Contract, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the checks by the names' first words."""
    result = await run(server, "doctor", "--json", *arguments)
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)["checks"]}


async def test_all_is_well() -> None:
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


async def test_a_table_and_the_advice_are_shown() -> None:
    failed = {**REDIS, "status": "failed", "found": "allkeys-lru", "advice": "set maxmemory-policy noeviction"}
    async with contract() as server:
        server.answer("doctor", {"checks": [failed], "now": time.time()})
        result = await run(server, "doctor")
    assert result.exit_code == 1
    assert "allkeys-lru" in result.stdout
    assert "redis: eviction policy: set maxmemory-policy noeviction\n" in result.stdout


async def test_a_warning_is_no_failure() -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [{**REDIS, "status": "warning"}], "now": time.time()})
        assert (await checks(server))[0] == 0


async def test_a_gateway_that_is_down_is_all_there_is() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = await run(None, "doctor", "--json", "--gateway", url)
    assert result.exit_code == 1
    (check,) = json.loads(result.stdout)["checks"]
    assert (check["name"], check["status"]) == ("gateway: reachable", "failed")
    assert check["found"].startswith(f"{url} does not answer: ")
    assert "check --gateway (or OPENFAAS_URL)" in check["advice"]


async def test_a_function_that_is_not_there() -> None:
    async with contract() as server:
        code, found = await checks(server, "--pipeline-name", "other")
    assert code == 1
    assert found["function: answers"]["status"] == "failed"
    assert "the gateway knows no function other" in found["function: answers"]["found"]
    assert "faas-cli up" in found["function: answers"]["advice"]
    assert found["token: accepted"]["status"] == "unknown"


async def test_a_function_that_is_too_old_to_check_itself() -> None:
    async with contract() as server:
        code, found = await checks(server)
    assert code == 0
    assert found["function: answers"]["status"] == "warning"
    assert "too old" in found["function: answers"]["found"]
    assert "deploy the current version" in found["function: answers"]["advice"]
    assert found["token: accepted"]["status"] == "unknown"
    # By the gateway's Date.
    assert found["clock: as this machine's"]["status"] == "ok"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_refused(status: int) -> None:
    async with contract() as server:
        server.answer("doctor", Answer({"error": "the header Authorization is missing"}, status))
        code, found = await checks(server)
    assert code == 1
    assert found["function: answers"]["status"] == "ok"
    assert found["token: accepted"]["status"] == "failed"
    assert "--token-file" in found["token: accepted"]["advice"]


async def test_a_token_that_is_accepted() -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [], "now": time.time()})
        result = await run(server, "doctor", "--json", PIPELINE_TOKEN=TOKEN)
    assert "it is, or none is required" in result.stdout
    assert TOKEN not in result.stdout


async def test_a_function_that_does_not_serve_is_asked_once() -> None:
    async with contract() as server:
        server.answer("doctor", Answer({"error": "Redis is away"}, 503))
        code, found = await checks(server)
    assert code == 1
    assert found["function: answers"]["status"] == "failed"
    assert "Redis is away" in found["function: answers"]["found"]
    assert found["function: answers"]["advice"] == "see its log: faas-cli logs pipeline"
    assert len(server.seen) == 1


@pytest.mark.parametrize(("off", "direction"), [(600, "ahead"), (-600, "behind")])
async def test_clocks_that_differ_are_a_warning(off: int, direction: str) -> None:
    async with contract() as server:
        server.answer("doctor", {"checks": [], "now": time.time() + off})
        code, found = await checks(server)
    clock = found["clock: as this machine's"]
    assert (code, clock["status"]) == (0, "warning")
    assert re.fullmatch(rf"the other clock is \d+ s {direction}", clock["found"])


async def test_an_answer_that_took_long_is_no_difference_of_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look at the clock is a minute after the one before: at the gateway, then before and after the question.
    ticks = itertools.count(1_000_000.0, 60.0)
    monkeypatch.setattr("pipeline.cli.doctor.time", SimpleNamespace(time=lambda: next(ticks)))
    async with contract() as server:
        server.answer("doctor", {"checks": [], "now": 1_000_119.0})
        _, found = await checks(server)
    assert next(ticks) == 1_000_180.0
    assert found["clock: as this machine's"]["status"] == "ok"
