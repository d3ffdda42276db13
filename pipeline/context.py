"""What every mode works with, opened once and alive as long as the process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from async_lru import alru_cache

from pipeline.access import Access
from pipeline.concurrency import Background
from pipeline.errors import ConfigurationError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.replies import Overview
from pipeline.metrics import Metrics
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.signing import Signer
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets, read_secrets, read_webhook_keys
from pipeline.sql.runner import Queries
from pipeline.store.batch_records import Specs
from pipeline.store.bucket import Store
from pipeline.store.snapshot import Snapshots
from pipeline.webhooks import Hooks, Webhooks

PHASE_TTL = 1.0
ENDED_TTL = 30.0
SERVER_CHECK_TTL = 60.0

log = logging.getLogger(__name__)


class Phases:
    """Where the batches stand, remembered for a second, so that a cancel bites at once and costs little.

    How one has `ended` stays as it is, and is asked for by that end, so that a list is not read anew each second.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.get = alru_cache(maxsize=1024, ttl=PHASE_TTL)(ledger.phase)
        self.ended = alru_cache(maxsize=1024, ttl=ENDED_TTL)(self._brief)
        self.check_server = alru_cache(maxsize=1, ttl=SERVER_CHECK_TTL)(ledger.check_server)

    async def _brief(self, batch: str, _ended: float) -> Overview | None:
        return await self._ledger.overview(batch)


@dataclass(frozen=True)
class Context:
    """The open clients of one process; `closing` is set when it is to end."""

    settings: Settings
    metrics: Metrics
    background: Background
    access: Access
    signer: Signer
    ledger: Ledger
    store: Store
    gateway: Gateway
    hooks: Hooks
    webhooks: Webhooks
    snapshots: Snapshots
    specs: Specs
    phases: Phases
    queries: Queries
    closing: asyncio.Event


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[Context]:
    """Read the secrets and open the clients; raises ConfigurationError when a secret is missing or wrong."""
    path = settings.secret_mount_path
    secrets = read_secrets(path)
    access = Access(secrets.tokens, lambda: _read_again(path).tokens)
    signer = Signer(secrets.keys, lambda: _read_again(path).keys)
    webhooks = Webhooks(secrets.webhook_keys, lambda: _webhook_keys_again(path))
    metrics, prefix = Metrics(), settings.function_name
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ledger = await enter(Ledger.connect(settings.redis_url, secrets.redis_password, prefix, metrics))
        store = await enter(Store.connect(settings, secrets, lambda: read_secrets(path), metrics))
        gateway = await enter(Gateway.connect(settings.gateway_url, prefix, signer, metrics))
        hooks = await enter(Hooks.connect())
        background = await enter(Background.opened())
        remembered = (Snapshots(store), Specs(store, settings.function_name), Phases(ledger), Queries())
        closing = asyncio.Event()
        stack.callback(closing.set)
        clients = (ledger, store, gateway, hooks)
        yield Context(settings, metrics, background, access, signer, *clients, webhooks, *remembered, closing)


def _read_again(path: Path) -> Secrets:
    """Read the secrets again; no keys and no tokens while the files cannot be read, so that the known ones stay."""
    try:
        return read_secrets(path)
    except ConfigurationError as error:
        log.warning("%s", error)
        return Secrets("", "", None, ())


def _webhook_keys_again(path: Path) -> tuple[bytes, ...]:
    """Read the keys that sign notifications again, whatever is wrong with the other secrets; none in the same way."""
    try:
        return read_webhook_keys(path)
    except ConfigurationError as error:
        log.warning("%s", error)
        return ()
