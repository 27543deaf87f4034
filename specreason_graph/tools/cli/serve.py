"""`specreason serve`: the loop behind OpenAI's chat completions API."""

from __future__ import annotations

import asyncio
import secrets
import shlex
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console

from specreason_graph.contract.config import Environment
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.tools.cli.options import PolicyFile, Serve, with_pair, with_policy, with_served_settings
from specreason_graph.use.address import is_loopback

_KEY_VARIABLE = "SPECREASON_GATEWAY_KEY"
_EMBEDDED_SLOTS = 4  # more give few tokens a second more, and each takes memory for a context of its own


@with_served_settings
@with_pair
def serve_command(
    settings: Settings,
    serve: Serve,
    host: Annotated[str, typer.Option(help="Address to listen at; others than loopback need a key")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one")] = 8002,
    gateway_key: Annotated[
        str | None, typer.Option(envvar=_KEY_VARIABLE, help="What clients must send; made up if not given")
    ] = None,
    served_name: Annotated[str, typer.Option(help="Model name of the pair")] = "specreason",
    concurrency: Annotated[int, typer.Option(min=1, help="How many runs go on at a time")] = 8,
    queue: Annotated[int, typer.Option(min=0, help="How many more may wait; any other gets 503")] = 64,
    keep_alive: Annotated[float, typer.Option(min=0.1, help="Seconds of silence in a stream before a comment")] = 10.0,
    policy_file: PolicyFile = None,
) -> None:
    """Serve the loop to any client of OpenAI's chat completions, until Ctrl-C: a chat UI, a harness, a program.

    Standard output gets the environment in which they find it. Options of the run are for requests that say nothing
    else. The pairs in SPECREASON_PAIRS are served, too, each under its name.
    """
    settings, policies = with_policy(settings, policy_file)
    try:
        from specreason_graph.use.gateway import opened, server
    except ImportError as error:
        raise ConfigError("serve needs FastAPI and uvicorn: pip install 'specreason-graph[serve]'") from error
    console = Console(stderr=True, highlight=False)
    if not is_loopback(host):
        if not gateway_key:
            raise ConfigError(f"host: {host} can be reached from the network; give --gateway-key or {_KEY_VARIABLE}")
        console.print(f"{host} can be reached from the network, and nothing is encrypted", style="yellow")
    key = gateway_key or secrets.token_urlsafe()

    async def serve_it() -> None:
        async with opened(
            {**Environment().pairs, "default": config},
            key=SecretStr(key),
            name=served_name,
            settings=settings,
            policies=policies,
            at_once=concurrency,
            waiting=queue,
            keep_alive=keep_alive,
        ) as gateway:
            card = await gateway.card(served_name)
            with server.listening(host, port) as listener:
                print(_exports(host, listener.getsockname()[1], None if gateway_key else key), end="", flush=True)
                console.print("{base} with {draft} as {}; Ctrl-C stops it".format(served_name, **card["specreason"]))
                await server.serve(gateway, listener)

    with serve(slots=min(concurrency, _EMBEDDED_SLOTS)) as config:
        asyncio.run(serve_it())


def _exports(host: str, port: int, made_up_key: str | None) -> str:
    """A key that was given is known already, and is not printed."""
    address = f"[{host}]" if ":" in host else host
    variables = {"OPENAI_BASE_URL": f"http://{address}:{port}/v1"} | (
        {"OPENAI_API_KEY": made_up_key} if made_up_key else {}
    )
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
