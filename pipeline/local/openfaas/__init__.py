"""The local OpenFaaS: gateway, queue, worker."""
