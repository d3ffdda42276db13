"""The gateway's `/system/` answers, in the shapes that faas-cli reads."""

import platform
from typing import Any

from pipeline.local.openfaas.functions import Function


def describe(function: Function) -> dict[str, Any]:
    """Describe one function as `GET /system/function/NAME` and the list do."""
    spec = function.spec
    return {
        "name": spec.name,
        "image": f"local/{spec.name}:latest",
        "namespace": "openfaas-fn",
        "envProcess": " ".join(spec.command),
        "labels": {"faas_function": spec.name},
        "annotations": {},
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
