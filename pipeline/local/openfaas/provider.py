"""The provider: it knows the functions, and describes them to the gateway and faas-cli."""

import platform
from typing import Any, Literal

from multidict import CIMultiDict

from pipeline.local.openfaas.exchange import PLAIN_TEXT, Answer, text_answer
from pipeline.local.openfaas.functions import Function

NAMESPACE = "openfaas-fn"
_URL = "http://provider:8081"


class Provider:
    """The functions by name; `state` may change at any time."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.state: Literal["up", "failing", "away"] = "up"

    def refusal(self, name: str | None = None) -> Answer | None:
        """Return the answer of a provider that does not have a function or is in trouble, None if all is well."""
        if self.state == "away":
            # The gateway's own answer, since nothing answers it.
            return Answer(502, CIMultiDict(), b"")
        if self.state == "failing":
            return text_answer(500, "the provider is failing")
        if name is not None and name not in self.functions:
            return text_answer(404, "404 page not found")
        return None

    def refusal_of_look_up(self, name: str) -> Answer | None:
        """Return the gateway's answer to a call if its look-up of the function fails (`scale_from_zero`)."""
        refusal = self.refusal(name)
        if refusal is None:
            return None
        if self.state == "away":
            path = f"{_URL}/system/function/{name}?namespace={NAMESPACE}"
            reason = f'Get "{path}": dial tcp: connect: connection refused'
        else:
            status = f"server returned non-200 status code ({refusal.status})"
            reason = f"{status} for function, {name}, body: {refusal.body.decode()}"
        text = f"error finding function {name}.{NAMESPACE}: {reason}".encode()
        headers = CIMultiDict({"Content-Length": str(len(text)), "Content-Type": PLAIN_TEXT})
        return Answer(404, headers, text, proxied=False)


def describe(function: Function) -> dict[str, Any]:
    """Describe one function, as in `GET /system/function/NAME` and in the list."""
    spec = function.spec
    return {
        "name": spec.name,
        "image": f"local/{spec.name}:latest",
        "namespace": NAMESPACE,
        "envProcess": " ".join(spec.command),
        "labels": {"faas_function": spec.name},
        "annotations": dict(spec.annotations),
        "replicas": len(function.replicas),
        "availableReplicas": sum(replica.ready for replica in function.replicas),
        "invocationCount": function.invocations,
    }


def info() -> dict[str, Any]:
    """Answer `faas-cli version`."""
    release = {"release": "local", "sha": "", "commit_message": ""}
    return {
        "provider": {"provider": "pipeline-local", "orchestration": "processes", "version": release},
        "version": release,
        "arch": platform.machine(),
    }
