"""What it costs to serve the shop: CPU a step beside the step in process, memory a session, and memory over time.

``serve_figures`` is what `jobs/benchmark.py serve` prints. Servers run on one core and their clients on others, in
processes of their own; a step's CPU is the server process's, all its threads together, over the steps it answered.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from algorithms.benchmarks.flags import ServeBenchmarkFlags
from rl_recsys.runs.measurement import Figure, child, command, in_child

CLIENTS = "algorithms.benchmarks.serve_clients"
IN_PROCESS_STEPS = 20_000
WARM_SESSIONS = 64  # whose walk fills what a shop keeps of its products and searches
ABOVE_IN_PROCESS_US, AS_FAST_AS_OPENENV, KB_A_SESSION, GROWTH = 100, 2, 60, 2
SOAK_IDLE_S = 5.0  # short, so that the sessions that nobody closed end within the soak
SOAK_ROUNDS = 50


def serve_figures(flags: ServeBenchmarkFlags) -> Iterator[Figure]:
    """The figures of the parts that are asked for, each as soon as it is measured."""
    if "speed" in flags.parts:
        yield from _speed_figures(flags.shop, flags.sessions, flags.seconds, flags.openenv_python)
    if "soak" in flags.parts:
        yield from _soak_figures(flags.shop, flags.soak_steps, flags.soak_sessions)


def _speed_figures(
    shop: Path, sessions: Sequence[int], seconds: float, openenv_python: Path | None
) -> Iterator[Figure]:
    inside = in_child(__name__, "in_process", str(shop), IN_PROCESS_STEPS, one_core=True)
    note = f"{inside['steps']:,} steps of random walks, whose searches were made before"
    yield Figure("step in process", inside["us"], "us of CPU", note=note)
    servers = {"an echo of a page": command(__name__, "serve_echo", inside["page"])}
    servers["the shop"] = command(__name__, "serve_shop", str(shop), max(*sessions, WARM_SESSIONS), 600.0)
    if openenv_python is not None:
        servers["the shop behind OpenEnv's server"] = _by_openenv(openenv_python, shop, max(*sessions, WARM_SESSIONS))
    with ExitStack() as stack:
        running = {name: stack.enter_context(_serving(arguments)) for name, arguments in servers.items()}
        for url, _ in running.values():
            in_child(CLIENTS, "warm", url, WARM_SESSIONS, IN_PROCESS_STEPS)
        for count in sessions:
            us = {}
            for name, (url, pid) in running.items():
                found = in_child(CLIENTS, "walk", url, count, seconds, pid)
                us[name] = found["us"]
                target = inside["us"] + ABOVE_IN_PROCESS_US if name == "the shop" else None
                note = f"{found['steps'] / found['seconds']:,.0f} steps/s; {1e6 / found['us']:,.0f} a core-second"
                yield Figure(f"{name}, {count} sessions: a step", us[name], "us of CPU", target, note=note)
                if name != "an echo of a page" and count == max(sessions):
                    target = KB_A_SESSION if name == "the shop" else None
                    yield Figure(f"{name}, {count} sessions: memory a session", found["kilobytes"], "kB", target)
            if openenv_python is not None:
                times = us["the shop behind OpenEnv's server"] / us["the shop"]
                name = f"steps a core-second of the shop over those behind OpenEnv's server, {count} sessions"
                yield Figure(name, times, "times", AS_FAST_AS_OPENENV, at_least=True)


def _soak_figures(shop: Path, steps: int, sessions: int) -> Iterator[Figure]:
    most = 4 * max(sessions // SOAK_ROUNDS, 1)
    with _serving(command(__name__, "serve_shop", str(shop), most, SOAK_IDLE_S)) as (url, pid):
        found = in_child(CLIENTS, "soak", url, steps, sessions, SOAK_ROUNDS, pid)
    memory = found["megabytes"]
    settled = memory[len(memory) // 10]
    growth = 100 * (max(memory[len(memory) // 10 :]) / settled - 1)
    note = f"{found['seconds']:.0f} s; {settled:.0f} MB after the first tenth; {found['left']} sessions left at the end"
    what = f"memory growth over {found['steps']:,} steps and {found['sessions']:,} sessions that no client closed"
    yield Figure(what, growth, "%", GROWTH, note=note)


@contextmanager
def _serving(arguments: list[str]) -> Iterator[tuple[str, int]]:
    """The URL of a server on one core, and its process."""
    with child(arguments, one_core=True) as server:
        try:
            for line in server.stdout:
                if found := re.search(r"serving at (http://\S+)", line):
                    yield found[1], server.pid
                    return
            raise RuntimeError("a server of the benchmark did not start; its traceback is above")
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _by_openenv(python: Path, shop: Path, sessions: int) -> list[str]:
    """Where openenv is installed, the rest is that of this process's Python, of the same version."""
    paths = [str(Path(__file__).parents[2]), sysconfig.get_paths()["purelib"]]
    code = (
        f"import sys; sys.path += {paths!r}; "
        f"from {__name__} import serve_by_openenv; serve_by_openenv({str(shop)!r}, {sessions})"
    )
    return [str(python), "-c", code]


# Servers and what is compared, each in a process of its own


def in_process(folder: str, steps: int) -> dict[str, Any]:
    """{"us" of CPU a step, "steps", "page": an observation of middling length} of the same walks without a server."""
    from algorithms.benchmarks.serve_clients import GOALS, next_action
    from envs.webshop_text import WebShopTextEnv

    env = WebShopTextEnv(folder, observation_mode="text")
    used, pages = 0.0, []
    for counted in (False, True):  # at first to fill what a shop keeps
        chance, goal, done = random.Random(0), 0, True
        for _ in range(steps):
            if done:
                _, info = env.reset(options={"goal": goal % GOALS})
                goal += 1
            action = next_action(info, chance)
            start = time.process_time()
            text, _, terminated, _, info = env.step(action)
            used += counted * (time.process_time() - start)
            done = terminated
            pages.append(len(text))
            if len(text) == sorted(pages[-101:])[len(pages[-101:]) // 2]:
                page = {"text": text, **info, "truncated": False}
    return {"us": 1e6 * used / steps, "steps": steps, "page": page}


def serve_shop(folder: str, sessions: int, idle_s: float) -> None:
    """As jobs/serve_environment.py does."""
    from algorithms.services.environment.app import environment_app
    from algorithms.services.server import ServerFlags, run_server

    run_server(partial(environment_app, sessions=sessions, idle_s=idle_s, place=folder), ServerFlags(port=0))


def serve_echo(page: dict[str, Any]) -> None:
    """Answer every message with the same page, read and written as JSON."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    from algorithms.services.server import ServerFlags, run_server

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            json.loads(text)
            data = {"observation": page, "reward": 0.0, "done": False}
            await socket.send_text(json.dumps({"type": "observation", "data": data}))

    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    run_server(lambda: app, ServerFlags(port=0))


def serve_by_openenv(folder: str, sessions: int) -> None:
    """The same shop behind OpenEnv's server, with steps on its event loop: the faster of its two ways."""
    import uvicorn
    from openenv.core.env_server import Action, ConcurrencyConfig, Environment, Observation, State, create_fastapi_app

    from algorithms.services.server import address_of, listen
    from envs.webshop_served import ServedShop

    shop = ServedShop(folder)

    class ShopAction(Action):
        action: str

    class ShopObservation(Observation):
        text: str
        available_actions: dict[str, Any]
        instruction_text: str
        session_id: str
        truncated: bool
        reward_parts: dict[str, Any] | None = None

    class ShopEnvironment(Environment):
        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self) -> None:
            super().__init__()
            self.session = shop.session()

        async def reset_async(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> Observation:
            return ShopObservation(**self.session.reset(seed=seed, episode_id=episode_id, **more))

        def reset(self, **more: Any) -> Observation:
            return ShopObservation(**self.session.reset(**more))

        async def step_async(self, action: ShopAction, timeout_s: float | None = None, **_: Any) -> Observation:
            return self.step(action)

        def step(self, action: ShopAction, timeout_s: float | None = None, **_: Any) -> Observation:
            observed, reward, done = self.session.step(action.action)
            return ShopObservation(**observed, reward=reward, done=done)

        @property
        def state(self) -> State:
            return State(step_count=self.session.steps)

    concurrency = ConcurrencyConfig(max_concurrent_envs=sessions)
    app = create_fastapi_app(ShopEnvironment, ShopAction, ShopObservation, concurrency_config=concurrency)
    listening = listen("127.0.0.1", 0)
    sys.stdout.write(f"serving at {address_of(listening)}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, loop="uvloop", log_level="warning")).run([listening])
