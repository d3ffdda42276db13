"""One run of a reduce, and its lease."""

from dataclasses import dataclass

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.ledger.replies import Lease
from pipeline.store.keys import CONTENT_TYPES, generation_output
from pipeline.store.multipart import Upload
from pipeline.store.writer import Writer


@dataclass(frozen=True)
class Job:
    """One run of a reduce; `owner` names it in the lease, since two of one process may run at once."""

    context: Context
    batch: str
    generation: int
    owner: str

    async def lease(self) -> Lease:
        """Take or renew its lease."""
        return await self.context.ledger.lease_reduce(self.batch, self.owner, self.generation)

    async def is_leased(self) -> bool:
        """Renew its lease, and say whether it still is its own."""
        return (await self.lease()).verdict == "leased"

    def new_writer(self, name: str) -> Writer:
        """Make the writer of an object under the generation; it sends no part once the lease is lost."""

        async def still_ours(_upload: Upload) -> None:
            if not await self.is_leased():
                raise UnavailableError(f"batch {self.batch}: the lease of its reduce was lost")

        kind = CONTENT_TYPES.get(name, "application/json")
        return Writer(self.context.store, generation_output(self.batch, self.generation, name), still_ours, kind)
