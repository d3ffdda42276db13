"""The faults of the platform and the requests of a user, each by the name of its step."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from yarl import URL

from bench.chaos.plan import Step
from bench.chaos.stage import MODEL, restart
from bench.kit.processes import freeze
from pipeline.local.openfaas.message_queue import Callback, Message
from pipeline.local.stack import PIPELINE

if TYPE_CHECKING:
    from bench.chaos.director import Director
    from bench.chaos.relay import Trouble

# Objects without which a batch cannot end as it should.
NEEDED = ("/segments/", "/input/", "/spec.json")
_OF_ONE_HOP = {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding"}

Strike = Callable[["Director", Step], Awaitable[object]]


async def _freeze(run: "Director", step: Step) -> None:
    """Stop the processes of replicas for a while; the gateway soon sees that they are not ready."""
    for replica in run.stage.replicas(PIPELINE, step.place):
        if replica.child is not None and replica.ready:
            freeze(replica.child.pid, step.value)
            run.later(run.stage.leave_out(replica.child.pid, step.value))


async def _restore_redis(run: "Director", step: Step) -> None:
    """Restart Redis with its data of some time ago: a window may have to be changed again then."""
    await run.stage.replace_redis(run.copy, step.value)
    run.user.window = 0


def _part(trouble: "Trouble", service: str) -> Strike:
    async def part(run: "Director", step: Step) -> None:
        relays = run.stage.relays
        for one in relays[step.place : step.place + 1] or relays:
            run.later(one[service].part(trouble, step.value))

    return part


async def _lose_object(run: "Director", step: Step) -> None:
    """Delete an object that the batch needs."""
    async with run.stage.bucket() as bucket:
        keys = [key for key in await bucket.keys(f"{run.user.batch.id}/") if any(part in key for part in NEEDED)]
        if keys:
            key = keys[int(step.value * len(keys))]
            run.user.lost += (key,)
            await bucket.client.delete_object(Bucket=bucket.name, Key=key)


async def _replay(run: "Director", step: Step, earlier: Sequence[Message | Callback]) -> None:
    """Deliver an earlier message or callback again."""
    if not earlier:
        return
    one = earlier[int(step.value * len(earlier))]
    headers = [(name, value) for name, value in one.headers.items() if name not in _OF_ONE_HOP]
    route = f"async-function/{one.function}" if isinstance(one, Message) else f"function/{PIPELINE}"
    path = one.path.removeprefix(f"/function/{PIPELINE}")
    url = URL(f"{run.stage.stack.gateway_url}/{route}{path}", encoded=True)
    async with run.stage.http.post(url, data=one.body, headers=headers) as answer:
        await answer.read()


async def _deploy(run: "Director", step: Step) -> None:
    """Replace one replica by one of an older version."""
    run.stage.replace_by_older(step.place)


STRIKES: dict[str, Strike] = {
    "wipe-queue": lambda run, _: run.wipe_queue(),
    "refuse-enqueues": lambda run, step: run.refuse_enqueues(int(step.value)),
    "backlog": lambda run, step: run.stage.hold_queue(int(step.value)),
    "kill-pipeline": lambda run, step: run.stage.kill(PIPELINE, step.place),
    "kill-model": lambda run, step: run.stage.kill(MODEL, step.place),
    "freeze": _freeze,
    "restart-redis": lambda run, step: restart(run.stage.stack.redis_service, step.value),
    "restart-s3": lambda run, step: restart(run.stage.stack.s3_service, step.value),
    "lose-redis": lambda run, step: run.stage.replace_redis(None, step.value),
    "restore-redis": _restore_redis,
    "clock-step": lambda run, step: run.stage.step_clock(step.value),
    **{f"{how}-{link}": _part(how, link) for link in ("redis", "s3", "gateway") for how in ("cut", "stall")},
    "lose-object": _lose_object,
    "replay-message": lambda run, step: _replay(run, step, run.messages),
    "replay-callback": lambda run, step: _replay(run, step, run.callbacks),
    "deploy": _deploy,
    "cancel": lambda run, _: run.user.cancel(),
    "resubmit": lambda run, _: run.user.submit(),
    "pause": lambda run, step: run.user.pause(step.value),
    "tune": lambda run, step: run.user.tune(int(step.value)),
    "redrive": lambda run, _: run.user.redrive(),
    "delete": lambda run, _: run.user.delete(),
    "again": lambda run, _: run.user.submit_anew(),
}
