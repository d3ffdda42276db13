"""Where the outputs of a batch are, from what is there."""

from pipeline.store.bucket import Store


async def output_addresses(store: Store, batch: str, generation: int) -> dict[str, str]:
    """Return the `s3://` addresses of what a generation has published, by name; the summary is called `summary`.

    What is published is under `<batch>/<generation>/` and under `<batch>/`, and the summary as `<batch>.json`; a reduce
    that was cut off, or an earlier end of this generation, may have left more under the generation.
    """
    root = f"s3://{store.bucket}/{batch}"
    folders = (f"{batch}/{generation}/", f"{batch}/")
    written, published = [[key.removeprefix(folder) for key in await store.children(folder)] for folder in folders]
    found = {"summary": f"{root}.json"} if "summary.json" in written else {}
    return found | {name: f"{root}/{name}" for name in written if name in published}
