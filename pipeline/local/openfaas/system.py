"""The gateway's answers under `/system/`, as faas-cli reads them."""

import platform
from typing import Any

from pipeline.local.openfaas.functions import Function


def describe(function: Function) -> dict[str, Any]:
    """Describe one function, as in `GET /system/function/NAME` and in the list."""
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
