"""Serve a shop as an environment that other programs play in, by OpenEnv's protocol or AgentGym's.

python jobs/serve_environment.py --shop shops/demo
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from algorithms.services.server import SessionFlags, run_server
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT
from rl_recsys.console.terminal import say
from rl_recsys.storage.locations import Place, absolute


@dataclass(kw_only=True)
class Arguments(SessionFlags):
    """Serve a shop as an environment."""

    shop: Place
    """Shop folder made by jobs/prepare.py. A shop that takes its place is taken by the episodes that begin then."""
    policy: Place | None = None
    """Policy folder, whose encoder makes token arrays for clients that ask for them."""
    observation_mode: Literal["text", "text_rich", "html", "url"] = "text"
    """What a page is shown as to clients that do not say."""
    max_steps: Annotated[int | None, COUNT] = None
    """Actions an episode for clients that do not say; by default any number."""
    reveal_goal: bool = False
    """Show goals, which hold the answers, to clients that ask for them."""
    processes: Annotated[int, COUNT] = 1
    """Processes that share the address and the shop's files, a core each. AgentGym's routes need a single one."""


def main(arguments: Arguments) -> None:
    """Serve until told to end."""
    from algorithms.services.environment.app import environment_app

    app = partial(
        environment_app,
        sessions=arguments.sessions,
        idle_s=arguments.idle_seconds,
        several_processes=arguments.processes > 1,
        place=absolute(arguments.shop),
        policy=None if arguments.policy is None else absolute(arguments.policy),
        observation_mode=arguments.observation_mode,
        max_steps=arguments.max_steps,
        reveal_goal=arguments.reveal_goal,
    )
    say(f"environment: /ws (OpenEnv){'' if arguments.processes > 1 else ', /agentgym (AgentGym)'}, /docs (all routes)")
    run_server(app, arguments, processes=arguments.processes)


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
