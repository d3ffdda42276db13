"""The receiver of a notification, deployed as printed: it verifies the message, and starts the next batch."""

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.local.openfaas.functions import FunctionSpec
from tests.rigs.docs.pages import RESULTS
from tests.rigs.docs.stage import INPUT, ROWS, Stage
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
(RECEIVER,) = (block.text for block in RESULTS.blocks() if block.info == "python" and "standardwebhooks" in block.text)
# The gateway and the folder of secrets as printed; here they are elsewhere.
GATEWAY, SECRETS = "http://127.0.0.1:8080", "/var/openfaas/secrets"


async def test_the_receiver_verifies_a_notification_and_starts_the_next_batch(on: Stage, tmp_path: Path) -> None:
    stack = on.cluster.stack
    handler = tmp_path / "next.py"
    assert RECEIVER.count(GATEWAY) == RECEIVER.count(SECRETS) == 1
    handler.write_text(RECEIVER.replace(GATEWAY, stack.gateway_url).replace(SECRETS, str(stack.secrets_dir)))
    await stack.add_function(FunctionSpec("next", (sys.executable, "-m", "pipeline.local.serve_handler", str(handler))))
    on.gate.set()
    spec = orjson.dumps({"input": INPUT, "function": "inception", "notify": ["next"]})
    assert (await on.cluster.call("batch", body=spec, X_Batch_Id="told"))[0] == 201

    async def delivered() -> dict[str, Any] | None:
        status = await on.cluster.status("told")
        return status if status["notifications"][0]["state"] == "delivered" else None

    status = await wait_until(delivered)
    assert (status["state"], status["notifications"][0]["status_code"]) == ("done", 204)
    following = await on.cluster.ended("told-next")
    assert (following["state"], following["items"]) == ("done", len(ROWS))
    forged = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    async with on.cluster.http.post(f"{stack.gateway_url}/function/next", data=b"{}", headers=forged) as response:
        assert response.status == 401
