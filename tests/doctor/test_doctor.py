"""doctor: faults around the function are found, and a healthy installation has none."""

import asyncio
from types import ModuleType
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.doctor import check as report
from pipeline.doctor import gateway as platform
from pipeline.doctor import redis as redis_server
from pipeline.doctor import s3 as bucket
from pipeline.doctor.check import Check
from pipeline.errors import UnavailableError
from pipeline.local.services.ports import free_port
from pipeline.modes import doctor as doctor_module
from pipeline.openfaas.gateway import Gateway
from tests.rigs.function.doctor import KNOWN, QUEUE, Doctor, bad
from tests.rigs.function.pipeline_bench import CSV, document


async def test_healthy_installation_passes_and_nothing_is_left(doctor: Doctor, redis: Redis) -> None:
    before = await doctor.pipeline.context.store.list("")
    checks = await doctor.examine()
    assert bad(checks) == KNOWN
    assert {name.partition(":")[0] for name in checks} == {
        *("secret", "redis", "s3", "clock", "timeouts", "gateway", "queue", "model function", "batches"),
    }
    assert await doctor.pipeline.context.store.list("") == before
    assert await doctor.pipeline.context.store.uploads("doctor/") == []
    assert await redis.keys(f"{doctor.pipeline.name}:*") == []
    assert doctor.pipeline.queue == []


async def test_unreachable_gateway_fails_and_the_other_checks_run(doctor: Doctor) -> None:
    context = doctor.pipeline.context
    url, name = f"http://127.0.0.1:{free_port()}", doctor.pipeline.name
    doctor.connect(gateway=Gateway(doctor.pipeline.gateway.session, url, name, context.signer))
    checks = await doctor.examine()
    away = dict.fromkeys(("gateway", QUEUE, "clock: gateway", "model function"), "failed")
    assert bad(checks) == KNOWN | away
    assert checks["gateway"].found == "the gateway cannot be reached (ClientConnectorError)"


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (200, "ok", "the gateway answers 200 for"),
        (401, "ok", "cannot be seen without the gateway's password"),
        (404, "failed", "is not deployed"),
    ],
)
@pytest.mark.parametrize("namespace", ["", "models"])
async def test_model_function_is_looked_up(
    doctor: Doctor, status: int, verdict: str, words: str, namespace: str
) -> None:
    short = f"{doctor.pipeline.name}-model"
    path = f"/system/function/{short}" + f"?namespace={namespace}" * bool(namespace)
    doctor.set_up(model_function=f"{short}.{namespace}" if namespace else short)
    doctor.pipeline.gateway.own_answers[path] = (status, {})
    check = (await doctor.examine())["model function: deployed"]
    assert check.status == verdict
    assert words in check.found


async def test_model_function_is_optional(doctor: Doctor) -> None:
    doctor.set_up(model_function=None)
    check = (await doctor.examine())["model function: deployed"]
    assert (check.status, check.found) == ("ok", "no model_function is set: each batch names its own")


SLOW = {"redis: round trip": redis_server, "s3: round trip": bucket, "gateway: reached": platform}


@pytest.mark.parametrize(("name", "module"), SLOW.items(), ids=SLOW)
async def test_slow_service_is_a_warning(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str, module: ModuleType
) -> None:
    monkeypatch.setattr(module, "SLOW", 0)
    check = (await doctor.examine())[name]
    assert (check.status, " ms" in check.found) == ("warning", True)
    monkeypatch.setattr(module, "SLOW", 60)
    check = (await doctor.examine())[name]
    assert (check.status, check.advice) == ("ok", "")


async def test_batches_in_trouble_are_named_up_to_five(doctor: Doctor, redis: Redis) -> None:
    for number in range(7):
        batch = f"{doctor.pipeline.name}.{number}"
        await doctor.pipeline.submit(b"url\na\n", CSV, batch=batch)
        if number < 6:
            await redis.hset(f"{doctor.pipeline.name}:{{{batch}}}", "trouble", f"trouble {number}")
    check = (await doctor.examine())["batches: open"]
    named = "; ".join(f"{doctor.pipeline.name}.{number}: trouble {number}" for number in range(5))
    assert (check.status, check.found) == ("warning", f"7 open, 6 in trouble: {named}; ...")


async def test_batch_past_its_deadline_is_named(doctor: Doctor) -> None:
    await doctor.pipeline.submit(b"url\na\n", CSV)
    bench = doctor.pipeline.bench()
    await bench.age(deadline_at=-500)
    assert (await doctor.examine())["batches: open"].status == "ok"
    await bench.age(deadline_at=-601)
    check = (await doctor.examine())["batches: open"]
    assert check.status == "warning"
    assert f"{doctor.pipeline.batch}: its deadline passed 601 s ago" in check.found


async def test_messages_that_come_again_are_counted(doctor: Doctor) -> None:
    await doctor.pipeline.submit(b"url\n" + b"a\n" * 200, CSV, {"window": "200"})
    bench = doctor.pipeline.bench()
    for task in (0, 1):
        await bench.start(task)
        await bench.start(task)
    check = (await doctor.examine())["queue: deliveries"]
    assert (check.status, check.found) == ("ok", "2 messages came again, of 200 of the newest batches")
    await bench.settle(0)
    await bench.start(0)
    check = (await doctor.examine())["queue: deliveries"]
    assert check.status == "warning"
    assert "ack_wait" in check.advice


async def test_broken_or_hanging_check_fails_and_the_others_run(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_context: Any) -> list[Check]:
        raise ZeroDivisionError("hush")

    async def says(_context: Any) -> list[Check]:
        raise UnavailableError("S3 is on holiday")

    async def hangs(_context: Any) -> list[Check]:
        await asyncio.Event().wait()
        return []

    async def fine(_context: Any) -> list[Check]:
        return [report.ok("fine", "all is well")]

    monkeypatch.setattr(report, "LIMIT", 0.1)
    groups = {"breaks": breaks, "says": says, "hangs": hangs, "fine": fine}
    monkeypatch.setattr(doctor_module, "GROUPS", groups)
    answer = document(await doctor.pipeline.handle("doctor"))
    found = {check["name"]: (check["status"], check["found"]) for check in answer["checks"]}
    assert found == {
        "breaks": ("failed", "the check itself broke (ZeroDivisionError)"),
        "says": ("failed", "S3 is on holiday"),
        "hangs": ("failed", "no answer within 0.1 s"),
        "fine": ("ok", "all is well"),
    }
    assert answer["now"] > 1_700_000_000
