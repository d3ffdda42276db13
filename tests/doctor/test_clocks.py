"""doctor: differences between clocks."""

import time
from email.utils import formatdate

import pytest
from aiohttp import web

from pipeline.ledger.probe import Probes
from pipeline.store.bucket import Store
from tests.rigs.function.doctor import KNOWN, Doctor, bad
from tests.rigs.s3.proxy import Fault, S3Proxy, refuse

OFF = [
    (0.0, "ok", "s "),
    (30.0, "warning", "s ahead of the function's"),
    (-30.0, "warning", "s behind the function's"),
    (90.0, "failed", "s ahead of the function's"),
    (-1000.0, "failed", "s behind the function's"),
]


def dated(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


def by_another_clock(seconds: float, fault: Fault | None = None) -> Fault:
    """Answer as the server, or as a fault, with another Date."""

    async def answer(proxy: S3Proxy, request: web.Request) -> web.StreamResponse:
        response = await (fault(proxy, request) if fault else proxy.forward(request))
        response.headers["Date"] = dated(seconds)
        return response

    return answer


@pytest.mark.parametrize(("seconds", "status", "words"), OFF)
async def test_clock_of_the_gateway(doctor: Doctor, seconds: float, status: str, words: str) -> None:
    doctor.pipeline.gateway.own_answers["/healthz"] = (200, {"Date": dated(seconds)})
    check = (await doctor.examine())["clock: gateway"]
    del doctor.pipeline.gateway.own_answers["/healthz"]
    assert (check.status, words in check.found, "NTP" in check.advice) == (status, True, status != "ok")


async def test_gateway_without_a_date_is_ok(doctor: Doctor) -> None:
    doctor.pipeline.gateway.own_answers["/healthz"] = (200, {"Date": "teatime"})
    check = (await doctor.examine())["clock: gateway"]
    del doctor.pipeline.gateway.own_answers["/healthz"]
    assert (check.status, check.found) == ("ok", "it does not tell the time")


@pytest.mark.parametrize(("seconds", "status", "words"), OFF)
async def test_clock_of_s3(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy, seconds: float, status: str, words: str
) -> None:
    doctor.connect(store=proxied_store)
    proxy.faults += [by_another_clock(seconds)] * 50
    check = (await doctor.examine())["clock: s3"]
    assert (check.status, words in check.found, "NTP" in check.advice) == (status, True, status != "ok")


async def test_clock_of_s3_is_read_from_a_refusal(doctor: Doctor, proxied_store: Store, proxy: S3Proxy) -> None:
    doctor.connect(store=proxied_store)
    proxy.faults += [by_another_clock(-1000, refuse(403, "RequestTimeTooSkewed"))] * 50
    checks = await doctor.examine()
    assert bad(checks) == KNOWN | {"s3": "failed", "clock: s3": "failed"}
    assert "(RequestTimeTooSkewed)" in checks["s3"].found
    assert checks["clock: s3"].found.endswith("s behind the function's")


@pytest.mark.parametrize(("seconds", "status", "words"), OFF)
async def test_clock_of_redis(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, seconds: float, status: str, words: str
) -> None:
    true = Probes.clock

    async def clock(probes: Probes) -> float:
        return await true(probes) + seconds

    monkeypatch.setattr(Probes, "clock", clock)
    check = (await doctor.examine())["clock: redis"]
    assert (check.status, words in check.found, "NTP" in check.advice) == (status, True, status != "ok")
