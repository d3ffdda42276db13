"""The context: clients that share its metrics, background work, and signing keys that are read again."""

import asyncio
import secrets
import socket
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from pipeline.context import open_context
from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.identity import Identity
from pipeline.openfaas.signing import Signer
from pipeline.settings.environment import read_settings
from pipeline.store.client import ATTEMPTS
from tests.rigs.metric_samples import parse


def _write(folder: Path, *keys: str) -> None:
    for name in ("s3-key", "s3-secret"):
        (folder / name).write_text(name)
    (folder / "pipeline-key").write_text("\n".join(keys))


async def test_background_work_ends_before_the_clients_close(tmp_path: Path) -> None:
    _write(tmp_path, secrets.token_hex(16))
    settings = read_settings({"s3_bucket": "bucket", "secret_mount_path": str(tmp_path)})
    done: list[str] = []

    async def work() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("work")

    async with open_context(settings) as context:
        context.background.start(work())
    assert done == ["work"]


async def test_clients_of_a_context_count_in_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, secrets.token_hex(16))
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"//127.0.0.1:{unused.getsockname()[1]}"
        given = {"redis_url": f"redis:{closed}", "s3_endpoint": f"http:{closed}", "gateway_url": f"http:{closed}"}
        settings = read_settings({"s3_bucket": "bucket", "secret_mount_path": str(tmp_path), **given})
        async with open_context(settings) as context:
            with pytest.raises(UnavailableError):
                await context.ledger.phase("batch")
            with pytest.raises(UnavailableError):
                await context.store.head("key")
            await context.gateway.invoke("model", b"", {}, 5)
            counts = parse(context.metrics.exposition())
    assert counts["redis_errors_total{kind=ConnectionError}"] == 1
    assert counts["s3_errors_total{kind=connection}"] == ATTEMPTS
    assert counts["model_call_seconds_count{status=5xx}"] == 1


@pytest.mark.parametrize("broken", [False, True], ids=["readable", "unreadable"])
async def test_new_key_is_read_and_an_unreadable_file_leaves_the_old_keys(tmp_path: Path, *, broken: bool) -> None:
    old, new = secrets.token_hex(16), secrets.token_hex(16)
    _write(tmp_path, old)
    settings = read_settings({"s3_bucket": "bucket", "secret_mount_path": str(tmp_path)})
    identity = Identity("batch", 0)
    async with open_context(settings) as context:
        _write(tmp_path, *(["short"] if broken else [new, old]))
        body = b"answer"
        signature = Signer((new.encode(),)).answer(identity, body)
        if broken:
            with pytest.raises(ForbiddenError):
                context.signer.verify_answer(identity, body, signature)
        else:
            context.signer.verify_answer(identity, body, signature)
        context.signer.verify_answer(identity, body, Signer((old.encode(),)).answer(identity, body))
