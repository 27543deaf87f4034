"""`specreason serve`: the loop behind OpenAI's chat completions API."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console

from specreason_graph.contract.config import Environment
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.tools.cli.options import PolicyFile, Serve, finite, with_pair, with_policy, with_served_settings
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
    gateway_keys: Annotated[
        Path | None,
        typer.Option(
            help=f"File with one `name: key` a line of what clients must send, read again when it changes; else "
            f"{_KEY_VARIABLE} is one, or one is made up"
        ),
    ] = None,
    ceilings: Annotated[
        Path | None, typer.Option(help="TOML file with what requests may ask for at most, see docs/operations.md")
    ] = None,
    allow_origin: Annotated[
        list[str], typer.Option(help="Origin of a page whose scripts may use the gateway, such as https://chat.example")
    ] = [],  # noqa: B006 - typer wants a list, and makes a new one
    open_metrics: Annotated[
        bool | None,
        typer.Option(help="Give /metrics without a key; if not said, where only this machine reaches the gateway"),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=0, help="How many runs /runs shows, with their texts, each key its own; 0 shows nothing")
    ] = 0,
    served_name: Annotated[str, typer.Option(help="Model name of the pair")] = "specreason",
    concurrency: Annotated[int, typer.Option(min=1, help="How many runs go on at a time")] = 8,
    queue: Annotated[int, typer.Option(min=0, help="How many more may wait; any other gets 503")] = 64,
    keep_alive: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="Seconds of silence in a stream before a comment")
    ] = 10.0,
    body_limit: Annotated[
        float, typer.Option(min=0.001, callback=finite, help="MiB that a request's body may have")
    ] = 4.0,
    head_timeout: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="Seconds for a request's head to arrive")
    ] = 10.0,
    body_timeout: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="Seconds for its body, and for a client to read on")
    ] = 60.0,
    connections: Annotated[
        int, typer.Option(min=1, help="How many there may be; at most half of the files that may be open")
    ] = 1024,
    drain: Annotated[float, typer.Option(min=0, callback=finite, help="Seconds for runs to end after SIGTERM")] = 5.0,
    policy_file: PolicyFile = None,
) -> None:
    """Serve the loop to any client of OpenAI's chat completions, until Ctrl-C: a chat UI, a harness, a program.

    Standard output gets the environment in which they find it, standard error a JSON line for each request. Options of
    the run are for requests that say nothing else. The pairs in SPECREASON_PAIRS are served, too, each under its name.
    """
    settings, policies = with_policy(settings, policy_file)
    try:
        from specreason_graph.use.gateway import Ceilings, Keys, Limits, create_app, log, opened, server
    except ImportError as error:
        raise ConfigError("serve needs FastAPI and uvicorn: pip install 'specreason-graph[serve]'") from error
    console = Console(stderr=True, highlight=False)
    environment = Environment()
    gateway_key = environment.gateway_key
    if gateway_key is not None and gateway_keys is not None:
        raise ConfigError(f"gateway_keys: give the file, or {_KEY_VARIABLE}, not both")
    made_up = None if gateway_key is not None or gateway_keys is not None else secrets.token_urlsafe()
    if not is_loopback(host):
        if made_up:
            raise ConfigError(f"host: {host} can be reached from the network; give --gateway-keys or {_KEY_VARIABLE}")
        console.print(f"{host} can be reached from the network, and nothing is encrypted", style="yellow")
    keys = Keys(gateway_keys or {"default": gateway_key or SecretStr(made_up or "")})
    limits = Limits(head_timeout, body_timeout, int(body_limit * 2**20), connections)
    bounds = Ceilings.of_file(ceilings) if ceilings else None
    if bounds is not None and (nobody := bounds.own.keys() - keys.names):  # one may come; a typo never does
        console.print(f"ceilings: there is no key called {', '.join(sorted(nobody))}", style="yellow", markup=False)
    origins = [_origin(origin) for origin in allow_origin]

    async def serve_it() -> None:
        async with opened(
            {**environment.pairs, "default": config},
            keys=keys,
            name=served_name,
            settings=settings,
            ceilings=bounds,
            policies=policies,
            at_once=concurrency,
            waiting=queue,
            keep_alive=keep_alive,
            seen=runs,
        ) as gateway:
            card = await gateway.card(served_name)
            app = create_app(
                gateway,
                limits,
                origins=origins,
                open_metrics=is_loopback(host) if open_metrics is None else open_metrics,
            )
            with server.listening(host, port) as listener:
                print(_exports(host, listener.getsockname()[1], made_up), end="", flush=True)
                console.print("{base} with {draft} as {}; Ctrl-C stops it".format(served_name, **card["specreason"]))
                log.to_standard_error()
                await server.Server(app, gateway.jobs, limits, drain=drain).serve(sockets=[listener])

    with serve(slots=min(concurrency, _EMBEDDED_SLOTS)) as config:
        asyncio.run(serve_it())


def _exports(host: str, port: int, made_up_key: str | None) -> str:
    """A key that was given is known already, and is not printed."""
    address = f"[{host}]" if ":" in host else host
    variables = {"OPENAI_BASE_URL": f"http://{address}:{port}/v1"} | (
        {"OPENAI_API_KEY": made_up_key} if made_up_key else {}
    )
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _origin(given: str) -> str:
    """As a browser sends it.

    Raises:
        ConfigError: it is none, or would let every page in.
    """
    origin = given.rstrip("/").lower()
    if not re.fullmatch(r"https?://[^/?#@*\s]+", origin):
        raise ConfigError(f"allow_origin: {given!r} is no origin; give scheme, host and port, as https://chat.example")
    return origin
