"""Where the outputs of a batch are, from what is there."""

from pipeline.store import Store


async def output_addresses(store: Store, batch: str, generation: int) -> dict[str, str]:
    """Return the `s3://` addresses of what a generation has published, by name; the summary is called `summary`.

    What is under `<batch>/<generation>/` is also under `<batch>/`, and the summary as `<batch>.json`.
    """
    root = f"s3://{store.bucket}/{batch}"
    folder = f"{batch}/{generation}/"
    names = [key.removeprefix(folder) for key in await store.list(folder)]
    found = {"summary": f"{root}.json"} if "summary.json" in names else {}
    return found | {name: f"{root}/{name}" for name in names if name != "summary.json" and "/" not in name}
