"""Check the connection to the function from this machine, then let the function check itself."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from pipeline.cli.command import Exit, Setup
from pipeline.cli.show import show_checks
from pipeline.client import CallError, Check, Diagnosis, Pipeline, RefusedError
from pipeline.client.errors import AnswerError

HEALTH_TIMEOUT = ClientTimeout(total=10)
# Dates in headers are whole seconds, and an answer takes time.
TOLERATED_SKEW = 5.0
UPSTREAM = Check(
    "gateway: upstream_timeout",
    "unknown",
    "cannot be seen from outside",
    "make sure that the gateway's upstream_timeout (and read_timeout, write_timeout) is at least the function's "
    "exec_timeout, and exec_timeout above its task_timeout",
)
NO_FUNCTION = "deploy it with `faas-cli up`, or name it with --pipeline-name; `faas-cli list` shows the functions"


@dataclass(frozen=True)
class Answer:
    """The function's diagnosis or error, and by how many seconds its clock is ahead of this machine's, if known."""

    diagnosis: Diagnosis | None
    error: CallError | None
    skew: float | None


async def doctor(setup: Setup) -> Exit:
    """Check the gateway, the function, the token and the clocks, then let the function check Redis and S3."""
    async with setup.pipeline(patience=0) as pipeline:
        reachable, gateway_skew = await _check_gateway(setup.gateway)
        checks = [reachable]
        if reachable.status == "ok":
            answer = await _call_doctor(pipeline)
            skew = answer.skew if answer.skew is not None else gateway_skew
            checks += [_check_function(setup, answer), _check_token(setup, answer), _check_clock(skew), UPSTREAM]
            checks += answer.diagnosis.checks if answer.diagnosis else ()
    if setup.as_json:
        setup.print_json({"checks": checks})
    else:
        show_checks(setup.out, checks)
    return Exit.FLAWED if any(check.status == "failed" for check in checks) else Exit.DONE


async def _check_gateway(url: str) -> tuple[Check, float | None]:
    """Check that the gateway answers; also return its clock skew, if known."""
    name = "gateway: reachable"
    try:
        async with ClientSession(timeout=HEALTH_TIMEOUT) as session, session.get(URL(url) / "healthz") as response:
            skew = _skew_of_date(response.headers.get("Date", ""))
            return Check(name, "ok", f"{url} answers"), skew
    except (ClientError, TimeoutError, OSError) as error:
        finding = f"{url} does not answer: {error or 'no answer in time'}"
        advice = "check --gateway (or OPENFAAS_URL), the network, and that the gateway runs; in a cluster: kubectl "
        return Check(name, "failed", finding, f"{advice}-n openfaas port-forward svc/gateway 8080:8080"), None


def _skew_of_date(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


async def _call_doctor(pipeline: Pipeline) -> Answer:
    before = time.time()
    try:
        diagnosis = await pipeline.doctor()
    except CallError as error:
        return Answer(None, error, None)
    return Answer(diagnosis, None, None if diagnosis.now is None else _least_skew(diagnosis.now, before, time.time()))


def _least_skew(now: float, before: float, after: float) -> float:
    """Return the smallest possible skew of a clock that was read at some moment between `before` and `after`."""
    return now - min(max(now, before), after)


def _check_function(setup: Setup, answer: Answer) -> Check:
    name, error = "function: answers", answer.error
    if error is None or _refuses_token(error):
        return Check(name, "ok", f"{setup.name} answers")
    if isinstance(error, RefusedError) and error.status == HTTPStatus.NOT_FOUND:
        return Check(name, "failed", f"the gateway knows no function {setup.name}: {error}", NO_FUNCTION)
    if isinstance(error, RefusedError) and error.status == HTTPStatus.BAD_REQUEST and "X-Mode" in error.error:
        advice = "deploy the current version, which can check its settings, Redis and S3"
        return Check(name, "warning", f"{setup.name} answers, but is too old for the mode doctor", advice)
    advice = f"see its log: faas-cli logs {setup.name}"
    return Check(name, "failed", f"{setup.name} does not serve: {error}", advice)


def _check_token(setup: Setup, answer: Answer) -> Check:
    name, error = "token: accepted", answer.error
    if error is not None and _refuses_token(error):
        advice = "give the one of the secret pipeline-token with --token-file, PIPELINE_TOKEN_FILE or PIPELINE_TOKEN"
        return Check(name, "failed", str(error), advice)
    if error is not None and not (isinstance(error, RefusedError) and error.status == HTTPStatus.BAD_REQUEST):
        return Check(name, "unknown", "the function failed before the check")
    if error is not None:
        return Check(name, "unknown", "the function checks the mode before the token")
    return Check(name, "ok", "it is, or none is required" if setup.token else "none is required")


def _refuses_token(error: CallError) -> bool:
    return isinstance(error, AnswerError) and error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def _check_clock(skew: float | None) -> Check:
    name = "clock: as this machine's"
    if skew is None:
        return Check(name, "unknown", "no answer has a date")
    if abs(skew) <= TOLERATED_SKEW:
        return Check(name, "ok", f"within {TOLERATED_SKEW:g} s")
    finding = f"the other clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
    return Check(name, "warning", finding, "set the clocks (NTP): S3 refuses signatures that are 15 minutes off")
