"""The clients, caches and settings that every mode works with, opened once for the life of the process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from async_lru import alru_cache

from pipeline.access import Access
from pipeline.bodies import body_capacity
from pipeline.capacity import Capacity, few_at_once
from pipeline.concurrency import BackgroundTasks, NamedTasks
from pipeline.errors import ConfigurationError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.replies import Overview
from pipeline.metrics import Metrics
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.signing import Signer
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets, read_secrets, read_webhook_keys
from pipeline.sql.runner import Queries
from pipeline.store.batch_records import BatchRecords
from pipeline.store.bucket import Store
from pipeline.store.snapshot import Snapshots
from pipeline.temporary import TemporarySpace
from pipeline.webhooks.client import WebhookClient
from pipeline.webhooks.signer import WebhookSigner

ENDED_TTL = 30.0
SERVER_CHECK_TTL = 60.0
SWEPT_AT_ONCE = 8

log = logging.getLogger(__name__)


class LedgerCache:
    """Reads of the ledger that many requests share.

    `ended(batch, ended)` is the brief of an ended batch; `ended` is its end in seconds since 1970, so that a redrive is
    read anew. `check_server()` raises UnavailableError for a Redis that is too old, or may evict keys.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ended = alru_cache(maxsize=1024, ttl=ENDED_TTL)(self._brief)
        self.check_server = alru_cache(maxsize=1, ttl=SERVER_CHECK_TTL)(ledger.check_server)

    async def _brief(self, batch: str, _ended: float) -> Overview | None:
        return await self._ledger.overview(batch)


@dataclass(frozen=True)
class Context:
    """The open clients of one process; `sweeps` are by batch; `closing` is set when the process is to end."""

    settings: Settings
    metrics: Metrics
    background: BackgroundTasks
    access: Access
    signer: Signer
    ledger: Ledger
    store: Store
    gateway: Gateway
    webhook_client: WebhookClient
    webhook_signer: WebhookSigner
    snapshots: Snapshots
    records: BatchRecords
    ledger_cache: LedgerCache
    queries: Queries
    sweeps: NamedTasks
    bodies: Capacity
    dry_runs: Capacity
    readers: Capacity
    temporary: TemporarySpace
    closing: asyncio.Event


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[Context]:
    """Read the secrets and open the clients; raises ConfigurationError when a secret is missing or wrong."""
    path = settings.secret_mount_path
    secrets = read_secrets(path)
    access = Access(secrets.tokens, lambda: _reread_secrets(path).tokens, settings.allows_host)
    signer = Signer(secrets.keys, lambda: _reread_secrets(path).keys)
    webhook_signer = WebhookSigner(secrets.webhook_keys, lambda: _reread_webhook_keys(path))
    metrics, prefix = Metrics(), settings.function_name
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ledger = await enter(Ledger.connect(settings.redis_url, secrets.redis_password, prefix, metrics))
        store = await enter(Store.connect(settings, secrets, lambda: read_secrets(path), metrics))
        gateway = await enter(Gateway.connect(settings.gateway_url, prefix, signer, metrics))
        webhook_client = await enter(WebhookClient.connect())
        background = await enter(BackgroundTasks.opened())
        caches = (Snapshots(store), BatchRecords(store, settings.function_name), LedgerCache(ledger), Queries())
        sweeps = await enter(NamedTasks.opened(SWEPT_AT_ONCE))
        closing = asyncio.Event()
        stack.callback(closing.set)
        capacities = (body_capacity(), few_at_once(), few_at_once())
        base = (settings, metrics, background, access, signer)
        clients = (ledger, store, gateway, webhook_client, webhook_signer)
        yield Context(*base, *clients, *caches, sweeps, *capacities, _temporary_space(settings), closing)


def _temporary_space(settings: Settings) -> TemporarySpace:
    limit = settings.temporary_bytes
    return TemporarySpace.of_disk() if limit is None else TemporarySpace(limit)


def _reread_secrets(path: Path) -> Secrets:
    """Read the secrets again; no keys and no tokens if the files cannot be read, so that the known ones stay."""
    try:
        return read_secrets(path)
    except ConfigurationError as error:
        log.warning("%s", error)
        return Secrets("", "", None, ())


def _reread_webhook_keys(path: Path) -> tuple[bytes, ...]:
    """Read the webhook keys again, whatever is wrong with the other secrets; none if they cannot be read."""
    try:
        return read_webhook_keys(path)
    except ConfigurationError as error:
        log.warning("%s", error)
        return ()
