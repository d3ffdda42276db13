"""Check the way to the function from here, then let the function check itself."""

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
# Dates in headers are whole seconds, and an answer takes its time.
SKEW = 5.0
UPSTREAM = Check(
    "gateway: upstream_timeout",
    "unknown",
    "cannot be seen from outside",
    "make sure that the gateway's upstream_timeout (and read_timeout, write_timeout) is at least the function's "
    "exec_timeout, and that in turn above its task_timeout",
)
NO_FUNCTION = "deploy it with `faas-cli up`, or name it with --pipeline-name; `faas-cli list` shows what there is"


@dataclass(frozen=True)
class Answered:
    """What the function said, or why it did not, and its clock less this machine's in seconds where that is known."""

    diagnosis: Diagnosis | None
    error: CallError | None
    skew: float | None


async def doctor(setup: Setup) -> Exit:
    """Check the gateway, the function, the token and the clocks, then what the function sees of Redis and S3."""
    async with setup.pipeline(patience=0) as pipeline:
        reachable, gateway_skew = await _gateway(setup.gateway)
        checks = [reachable]
        if reachable.status == "ok":
            answered = await _ask(pipeline)
            skew = answered.skew if answered.skew is not None else gateway_skew
            checks += [_function(setup, answered), _token(setup, answered), _clock(skew), UPSTREAM]
            checks += answered.diagnosis.checks if answered.diagnosis else ()
    if setup.as_json:
        setup.document({"checks": checks})
    else:
        show_checks(setup.out, checks)
    return Exit.FLAWED if any(check.status == "failed" for check in checks) else Exit.DONE


async def _gateway(url: str) -> tuple[Check, float | None]:
    """Say whether anything answers at the address, and how far its clock is off."""
    name = "gateway: reachable"
    try:
        async with ClientSession(timeout=HEALTH_TIMEOUT) as session, session.get(URL(url) / "healthz") as response:
            skew = _since(response.headers.get("Date", ""))
            return Check(name, "ok", f"{url} answers"), skew
    except (ClientError, TimeoutError, OSError) as error:
        found = f"{url} does not answer: {error or 'no answer in time'}"
        advice = "check --gateway (or OPENFAAS_URL), the network, and that the gateway runs; in a cluster: kubectl "
        return Check(name, "failed", found, f"{advice}-n openfaas port-forward svc/gateway 8080:8080"), None


def _since(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


async def _ask(pipeline: Pipeline) -> Answered:
    before = time.time()
    try:
        diagnosis = await pipeline.doctor()
    except CallError as error:
        return Answered(None, error, None)
    return Answered(diagnosis, None, None if diagnosis.now is None else _beyond(diagnosis.now, before, time.time()))


def _beyond(now: float, before: float, after: float) -> float:
    """Say how far a clock is off at least: it was read at any moment between a question and its answer."""
    return now - min(max(now, before), after)


def _function(setup: Setup, answered: Answered) -> Check:
    name, error = "function: answers", answered.error
    if error is None or _refuses_token(error):
        return Check(name, "ok", f"{setup.name} answers")
    if isinstance(error, RefusedError) and error.status == HTTPStatus.NOT_FOUND:
        return Check(name, "failed", f"the gateway knows no function {setup.name}: {error}", NO_FUNCTION)
    if isinstance(error, RefusedError) and error.status == HTTPStatus.BAD_REQUEST and "X-Mode" in error.error:
        advice = "deploy the present version, which can check its settings, Redis and S3"
        return Check(name, "warning", f"{setup.name} answers, and is too old to know the mode doctor", advice)
    advice = f"see its log: faas-cli logs {setup.name}"
    return Check(name, "failed", f"{setup.name} does not serve: {error}", advice)


def _token(setup: Setup, answered: Answered) -> Check:
    name, error = "token: accepted", answered.error
    if error is not None and _refuses_token(error):
        advice = "give the one of the secret pipeline-token with --token-file, PIPELINE_TOKEN_FILE or PIPELINE_TOKEN"
        return Check(name, "failed", str(error), advice)
    if error is not None and not (isinstance(error, RefusedError) and error.status == HTTPStatus.BAD_REQUEST):
        return Check(name, "unknown", "the function did not come to it")
    if error is not None:
        return Check(name, "unknown", "the mode is looked at before the token")
    return Check(name, "ok", "it is, or none is asked for" if setup.token else "none is asked for")


def _refuses_token(error: CallError) -> bool:
    return isinstance(error, AnswerError) and error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def _clock(skew: float | None) -> Check:
    name = "clock: as this machine's"
    if skew is None:
        return Check(name, "unknown", "no answer says the time")
    if abs(skew) <= SKEW:
        return Check(name, "ok", f"within {SKEW:g} s")
    found = f"the other side is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
    return Check(name, "warning", found, "set the clocks (NTP): S3 refuses signatures that are 15 minutes off")
