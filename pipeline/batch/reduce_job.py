"""One run of a reduce, which writes only while it holds the lease."""

from dataclasses import dataclass

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.ledger.replies import Lease
from pipeline.store.keys import CONTENT_TYPES, generation_output
from pipeline.store.multipart import Upload
from pipeline.store.writer import Writer


@dataclass(frozen=True)
class ReduceJob:
    """One run of a reduce; `owner` names it alone in the lease, which it takes once."""

    context: Context
    batch: str
    generation: int
    owner: str

    async def lease(self) -> Lease:
        """Take the lease."""
        return await self.context.ledger.lease_reduce(self.batch, self.owner, self.generation)

    async def is_leased(self) -> bool:
        """Renew the lease, and return whether this run still holds it."""
        lease = await self.context.ledger.lease_reduce(self.batch, self.owner, self.generation, renewal=True)
        return lease.verdict == "leased"

    async def check_lease(self) -> None:
        """Renew the lease; raises UnavailableError once it is lost."""
        if not await self.is_leased():
            raise UnavailableError(f"batch {self.batch}: the lease of its reduce was lost")

    def new_writer(self, name: str) -> Writer:
        """Return the writer of an object of this generation; it raises UnavailableError once the lease is lost."""

        async def record(_upload: Upload) -> None:
            await self.check_lease()

        kind = CONTENT_TYPES.get(name, "application/json")
        return Writer(self.context.store, generation_output(self.batch, self.generation, name), record, kind)
