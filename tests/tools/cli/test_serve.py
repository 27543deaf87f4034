"""`specreason serve` as a person or a script runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, InternalServerError, OpenAI
from serving import Held

from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer

from .conftest import Specreason, at, serving

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
BASE, DRAFT = Script(STEPS, answer="12", scores=[9, 3, 9]), Script(STEPS)
QUESTION: Any = [{"role": "user", "content": "How many legs have 3 cows?"}]


@contextmanager
def started(
    servers: ScriptedPair, *options: str, keys_given: bool = False, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command, and what it printed once it serves."""
    command = [sys.executable, "-m", "specreason_graph.tools.cli", "serve", *at(servers), "--port", "0", *options]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SPECREASON_")} | variables
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        exports: dict[str, str] = {}
        while len(exports) < 1 + (not keys_given and "SPECREASON_GATEWAY_KEY" not in variables):
            line = process.stdout.readline()
            assert line.startswith("export "), process.communicate()[1]
            name, _, value = line.removeprefix("export ").strip().partition("=")
            exports[name] = value
        try:
            yield process, exports
        finally:
            process.kill()


def client(exports: dict[str, str], **changes: str) -> OpenAI:
    """OpenAI's own, as it finds the gateway in its environment."""
    found = {"base_url": exports["OPENAI_BASE_URL"], "api_key": exports.get("OPENAI_API_KEY")} | changes
    return OpenAI(**found, max_retries=0)  # type: ignore[arg-type]


def test_it_prints_where_openai_s_clients_find_it_and_the_key_that_it_made_up() -> None:
    with serving(BASE, DRAFT) as servers, started(servers, "--first-steps", "1") as (process, exports):
        assert exports.keys() == {"OPENAI_BASE_URL", "OPENAI_API_KEY"}
        assert exports["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
        assert len(exports["OPENAI_API_KEY"]) > 30
        with client(exports) as it:
            reply = it.chat.completions.create(model="specreason", messages=QUESTION)
        assert reply.choices[0].message.content == "12"
        assert (reply.choices[0].model_extra or {})["specreason"]["acceptance_rate"] == 0.5
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "scripted-base with scripted-draft as specreason" in err
    assert exports["OPENAI_API_KEY"] not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_runs_that_go_on(number: signal.Signals, until: Callable[..., None]) -> None:
    slow = ScriptedServer(DRAFT, template="think", model="scripted-draft", pace=Pace(ttft=60))
    with (
        serving(BASE, slow) as servers,
        started(servers, "--drain", "0.2") as (process, exports),
        ThreadPoolExecutor(1) as elsewhere,
    ):
        with client(exports) as it:
            asked = elsewhere.submit(it.chat.completions.create, model="specreason", messages=QUESTION)
            until(lambda: servers.draft.running)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            with pytest.raises(InternalServerError, match="the gateway is stopping"):
                asked.result()
        assert process.returncode == 0
        assert "Traceback" not in err
        until(lambda: not servers.draft.running)


def test_sigterm_lets_what_goes_on_end_and_takes_no_more(until: Callable[..., None]) -> None:
    """Guards deployments: a new version is rolled out without losing an answer."""
    draft = Held(DRAFT, role="draft")
    with serving(BASE, draft) as servers, started(servers, "--drain", "60") as (process, exports):
        with client(exports) as it, ThreadPoolExecutor(1) as elsewhere:
            asked = elsewhere.submit(it.chat.completions.create, model="specreason", messages=QUESTION)
            until(lambda: servers.draft.running)
            process.send_signal(signal.SIGTERM)
            url = exports["OPENAI_BASE_URL"].removesuffix("/v1")
            until(lambda: httpx.get(f"{url}/ready").status_code == 503)
            new = it.chat.completions.with_raw_response
            with pytest.raises(InternalServerError, match="the gateway is stopping") as caught:
                new.create(model="specreason", messages=QUESTION)
            assert (caught.value.status_code, caught.value.response.headers["connection"]) == (503, "close")
            draft.let_go()
            assert asked.result().choices[0].message.content == "12"
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_what_an_operator_sees_is_json_and_keys_come_from_a_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice: sk-alice-1\n")
    options = ["--gateway-keys", str(keys), "--allow-origin", "https://Chat.example/", "--open-metrics"]
    with serving(BASE, DRAFT) as servers, started(servers, *options, keys_given=True) as (process, exports):
        with client(exports, api_key="sk-alice-1") as it:
            it.chat.completions.create(model="specreason", messages=QUESTION)
        url = exports["OPENAI_BASE_URL"].removesuffix("/v1")
        asks = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
        preflight = httpx.options(f"{url}/v1/chat/completions", headers=asks)
        other = httpx.options(f"{url}/v1/chat/completions", headers={**asks, "Origin": "https://evil.example"})
        assert 'specreason_requests_total{outcome="ok"} 1.0' in httpx.get(f"{url}/metrics").text
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
    assert "access-control-allow-origin" not in other.headers
    said, *lines = err.splitlines()
    assert "Ctrl-C stops it" in said
    [line] = [json.loads(line) for line in lines if '"ok"' in line]
    assert (line["event"], line["key"], line["pair"], line["judged"]) == ("request", "alice", "default", 3)
    assert "sk-alice" not in err
    assert "cows" not in err


def test_ceilings_of_a_key_that_is_not_there_are_said(tmp_path: Path) -> None:
    """Guards operators who mistype a name: that key would go without its ceilings, and nobody would know."""
    (tmp_path / "keys").write_text("batch: sk-1\n")
    (tmp_path / "ceilings").write_text("[key.batch]\nn = 2\n[key.bacth]\nn = 1\n")
    options = ["--gateway-keys", str(tmp_path / "keys"), "--ceilings", str(tmp_path / "ceilings")]
    with serving(BASE, DRAFT) as servers, started(servers, *options, keys_given=True) as (process, _):
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "ceilings: there is no key called bacth\n" in err


def test_a_key_that_is_given_is_taken_and_not_printed() -> None:
    with serving(BASE, DRAFT) as servers, started(servers, SPECREASON_GATEWAY_KEY=" a secret\n") as (process, exports):
        with client(exports, api_key="a secret") as it:
            assert [model.id for model in it.models.list()] == ["specreason"]
        with client(exports, api_key="a guess") as it, pytest.raises(AuthenticationError):
            it.models.list()
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert exports.keys() == {"OPENAI_BASE_URL"}
    assert "a secret" not in out + err


def test_another_address_than_loopback_needs_a_key_and_warns() -> None:
    with (
        serving(BASE, DRAFT) as servers,
        started(servers, "--host", "0.0.0.0", SPECREASON_GATEWAY_KEY="a secret") as (process, exports),
    ):
        assert exports["OPENAI_BASE_URL"].startswith("http://0.0.0.0:")
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "0.0.0.0 can be reached from the network" in err


def test_more_pairs_of_the_environment_are_served_under_their_names() -> None:
    with serving(BASE, DRAFT) as servers:
        pairs = json.dumps({"legs": servers.config.model_dump(mode="json")})
        with started(servers, "--served-name", "mine", SPECREASON_PAIRS=pairs) as (_, exports), client(exports) as it:
            assert [model.id for model in it.models.list()] == ["mine", "legs"]
            assert it.chat.completions.create(model="legs", messages=QUESTION).choices[0].message.content == "12"


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--host", "0.0.0.0"], 2, "--gateway-keys"),
        (["--gateway-keys", "/no/such"], 2, "gateway_keys: can't read /no/such"),
        (["--ceilings", "/no/such"], 2, "ceilings: can't read /no/such"),
        (["--allow-origin", "*"], 2, "allow_origin: '*' is no origin"),
        (["--allow-origin", "chat.example"], 2, "allow_origin: 'chat.example' is no origin"),
        (["--host", "no.such.host.invalid"], 2, "host: there is no address"),
        (["--base-url", "http://127.0.0.1:9", "--draft-url", "http://127.0.0.1:9"], 1, "can't be reached"),
        (["--threshold", "11"], 2, "threshold"),
        (["--concurrency", "0"], 2, "--concurrency"),
        (["--policy-file", "/no/such.json"], 2, "such.json"),
    ],
)
def test_what_can_not_work_gets_one_clear_line(
    options: list[str], status: int, says: str, specreason: Specreason
) -> None:
    done = specreason("serve", *options)
    assert (done.status, done.out) == (status, "")
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_port_that_is_taken_is_told(specreason: Specreason) -> None:
    with serving(BASE, DRAFT) as servers:
        port = servers.base.url.rpartition(":")[2]
        done = specreason("serve", *at(servers), "--port", port)
    assert (done.status, done.out) == (2, "")
    assert f"port: can't listen at 127.0.0.1:{port}" in done.err
