"""A scripted server on the port that it is told, which loads, fails and stops like vLLM."""

import argparse
import os
import subprocess
import sys
import time

# Ignores SIGTERM; one is in the server's process group, one in a session of its own.
_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

_DIES = """\
(EngineCore pid=7) ERROR 11-25 16:08:53 [core.py:1402] EngineCore failed to start.
(EngineCore pid=7) Traceback (most recent call last):
(EngineCore pid=7)   File "gpu_worker.py", line 542, in init_device
(EngineCore pid=7) ValueError: Free memory on device (3.1/79.1 GiB) is less than desired
(APIServer pid=6) Traceback (most recent call last):
(APIServer pid=6)   File "utils.py", line 1432, in wait_for_engine_startup
(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above."""


def main() -> None:
    """Load, then serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--act", action="append", default=[], choices=["stubborn", "dies", "hangs", "forgets", "silent"]
    )
    options, _ = parser.parse_known_args()
    print("(Worker pid=8) INFO 11-25 16:09:00 [runner.py:68] Starting to load model x...", file=sys.stderr)
    if "stubborn" in options.act:
        for session in (False, True):
            subprocess.Popen([sys.executable, "-c", _STUBBORN], start_new_session=session)
    if "dies" in options.act:
        sys.exit(_DIES)
    if "hangs" in options.act:
        print("Loading safetensors checkpoint shards:  50% Completed | 1/2", file=sys.stderr)
        time.sleep(600)
    serve(options)


def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM, with the key that vLLM would take."""
    from aiohttp import web

    from specreason_graph.testing import Script, ScriptedServer

    server = ScriptedServer(
        Script(["3 * 4 = 12 legs."], answer="12", scores=[9]),
        model=options.model,
        api_key=os.environ["VLLM_API_KEY"],
        reports_cached="silent" not in options.act,
        cache_blocks=0 if "forgets" in options.act else 4096,
    )
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server._handle)
    web.run_app(app, host=options.host, port=options.port, print=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()
