"""What a step costs when its transcript is sent as text, and when it is sent as token ids, on a real vLLM server.

    python benchmarks/text_or_ids.py --url http://127.0.0.1:8000 [--json]

Each request reads one token behind a transcript that is in the server's prefix cache up to its last tokens, as the
next step of a run does. The ways take turns. Milliseconds are the client's: writing the body, the network, the
server's parsing (and for text its tokenizer), one forward pass, and reading the answer.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

WAYS = {
    "ids": {"logprobs": 0, "return_tokens_as_token_ids": True},
    "ids, and return_token_ids": {"logprobs": 0, "return_token_ids": True},
    "text": {"logprobs": 0, "return_tokens_as_token_ids": True, "add_special_tokens": False},
}


def main(
    url: Annotated[str, typer.Option(help="A vLLM server")],
    key: Annotated[str, typer.Option(envvar="SPECREASON_API_KEY", help="Its key")] = "",
    length: Annotated[list[int], typer.Option(help="Tokens of the transcript; may be repeated")] = [1000, 4000, 16000],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=3, help="Requests of each way and length")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
) -> None:
    """Measure, and print a table."""
    figures = asyncio.run(_measure(url.rstrip("/"), key, length, rounds))
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("tokens", "sent as", "median ms", "p90 ms", "bytes sent", "bytes received", "cached tokens")
    for row in figures["rows"]:
        table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(f"vLLM {figures['version']}, {figures['model']}, {rounds} rounds", table)


async def _measure(url: str, key: str, lengths: list[int], rounds: int) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(url, headers=headers, timeout=aiohttp.ClientTimeout(total=1800)) as client:
        version = (await _json(client.get("/version")))["version"]
        name = (await _json(client.get("/v1/models")))["data"][0]["id"]
        rows: list[dict[str, Any]] = []
        for length in lengths:
            text, ids = await _transcript(client, name, length)
            bodies = {
                way: json.dumps(
                    {"model": name, "prompt": text if way == "text" else ids, "max_tokens": 1, "temperature": 0, **more}
                ).encode()
                for way, more in WAYS.items()
            }
            for body in bodies.values():  # fills the prefix cache
                await _timed(client, body)
            took: dict[str, list[tuple[float, int, int | None]]] = {way: [] for way in WAYS}
            for _ in track(range(rounds), f"{len(ids)} tokens", console=Console(stderr=True)):
                for way in WAYS:
                    took[way].append(await _timed(client, bodies[way]))
            for way, measured in took.items():
                milliseconds = [seconds * 1000 for seconds, _, _ in measured]
                rows.append(
                    {
                        "tokens": len(ids),
                        "sent_as": way,
                        "median_ms": statistics.median(milliseconds),
                        "p90_ms": statistics.quantiles(milliseconds, n=10)[-1],
                        "bytes_sent": len(bodies[way]),
                        "bytes_received": measured[-1][1],
                        "cached_tokens": measured[-1][2],
                    }
                )
        return {"version": version, "model": name, "rounds": rounds, "rows": rows}


async def _transcript(client: aiohttp.ClientSession, model: str, length: int) -> tuple[str, list[int]]:
    """A transcript of about `length` tokens, as text and as ids."""
    steps = (f"Step {n}: {n} crates of {n + 7} apples hold {n * (n + 7)} apples in all.\n\n" for n in range(1, length))
    text, ids = "", list[int]()
    while len(ids) < length:
        text += "".join(next(steps) for _ in range(10))
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        ids = (await _json(client.post("/tokenize", json=body)))["tokens"]
    return text, ids


async def _timed(client: aiohttp.ClientSession, body: bytes) -> tuple[float, int, int | None]:
    """Seconds of one request, bytes of its answer, and how many prompt tokens were cached."""
    began = time.perf_counter()
    async with client.post("/v1/completions", data=body, headers={"Content-Type": "application/json"}) as response:
        raw = await response.read()
        response.raise_for_status()
    answer = json.loads(raw)
    seconds = time.perf_counter() - began
    return seconds, len(raw), (answer["usage"].get("prompt_tokens_details") or {}).get("cached_tokens")


async def _json(request: Any) -> Any:
    async with request as response:
        response.raise_for_status()
        return await response.json()


if __name__ == "__main__":
    typer.run(main)
