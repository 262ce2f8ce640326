"""Serve recommendations: a page with a search box, and routes for programs (docs/doors/recommender.md).

    python jobs/serve_recommender.py --shop shops/demo --policy runs/demo/seed-0/ppo/policy
    python jobs/serve_recommender.py --shop shops/demo --policies ppo=runs/demo/seed-0/ppo/policy \\
        dpo=runs/demo/seed-0/dpo/policy --out runs/recommender

What people click and take is kept in --out as trajectories that jobs/dpo.py learns from. With several policies,
Thompson sampling decides from that feedback who answers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from algorithms.services.recommender.limits import REQUESTS_WAITING, SESSIONS_AT_ONCE
from algorithms.services.server import ServerFlags, is_loopback, read_token
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.core.task import EPISODES_A_REQUEST
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.evaluation.bandit import Objective
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.storage.locations import Place, is_uri


@dataclass(kw_only=True)
class Arguments(TaskFlags, ServerFlags):
    """Serve recommendations."""

    policy: Place | None = None
    """Policy folder; short for --policies policy=FOLDER."""
    policies: tuple[str, ...] = ()
    """Policies as NAME=FOLDER that take turns by Thompson sampling from people's feedback."""
    out: Place = "runs/recommender"
    """Folder for the feedback: ledger.sqlite, and trajectories to learn from. A service that goes on in it knows what
    was reported before."""
    objective: Objective = "success"
    """What the turns are decided by. success: lists of which something was bought. score: the lists' mean reward, in
    which a click counts half."""
    episodes: Annotated[int, COUNT] = EPISODES_A_REQUEST
    """Shopping sessions a request: one of the policy's best actions, the others drawn."""
    at_once: Annotated[int, COUNT] = SESSIONS_AT_ONCE
    """Sessions of all requests that a replica plays together."""
    waiting: Annotated[int, COUNT] = REQUESTS_WAITING
    """Requests that wait in a replica; further ones get the status 503 and when to ask again."""
    replicas: Annotated[int, COUNT] = 1
    """Processes that answer, each with the policies and the world in its memory."""
    cores: Annotated[int | None, COUNT] = None
    """Cores of a replica; by default all of this machine."""
    seed: Annotated[int, SEED] = 0
    """Decides whose turn it is."""

    def validate(self) -> None:
        """Policies are named in one way, and feedback goes to a disk."""
        super().validate()
        if (self.policy is None) == (not self.policies):
            raise UserError("name the policy: --policy FOLDER, or several with --policies NAME=FOLDER, and not both")
        if is_uri(self.out):
            raise UserError(f"--out {self.out}: feedback is acknowledged once it is on a disk; name a folder")


@writes_to_its_out("serve_recommender")
def main(arguments: Arguments) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    from algorithms.services.recommender.deployment import Settings, policies_of, serve_until_ended

    task = arguments.open_task()
    named = arguments.policies or (f"policy={arguments.policy}",)
    settings = Settings(
        task=task.spec, policies=policies_of(named, task), episodes=arguments.episodes, at_once=arguments.at_once,
        waiting=arguments.waiting, objective=arguments.objective, seed=arguments.seed, replicas=arguments.replicas,
        cores=arguments.cores or os.cpu_count() or 1,
    )  # fmt: skip
    serve_until_ended(
        settings, arguments.out, host=arguments.host, port=arguments.port, token=read_token(arguments.token_file),
        local=is_loopback(arguments.host),
    )  # fmt: skip


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
