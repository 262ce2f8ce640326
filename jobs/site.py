"""Open the shop to people in a browser, record what they do, and show them what agents do with the same wish.

    python jobs/site.py --shop shops/demo --record runs/people
    python jobs/site.py --shop shops/demo --record runs/people --policies heuristic dpo=runs/demo/seed-0/dpo/policy

Each session is written as a trajectory of source "human" with its actions and all choices, for jobs/imitate.py and
jobs/dpo.py, and as a log of pages as WebShop's own site writes it, for jobs/import_trajectories.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from algorithms.services.server import SessionFlags, run_server
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT, RATE
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.storage.locations import Place


@dataclass(kw_only=True)
class Arguments(SessionFlags):
    """A shop for people."""

    shop: Place
    """Shop folder made by jobs/prepare.py."""
    record: Place
    """Folder of trajectories, which grows with each session, also over several starts."""
    policies: tuple[str, ...] = ("heuristic",)
    """Agents that play a person's wish as well, as NAME=FOLDER, FOLDER being a policy folder; the shop's baselines go
    by their names: rule, heuristic, comparing."""
    split: str = "train"
    """Whose goals people are given as wishes: train, test, or all."""
    watch: tuple[Place, ...] = ()
    """Folders of trajectories that anybody may watch at /watch."""
    sessions: Annotated[int, COUNT] = 200
    """People at a time; more are asked to come again later."""
    idle_seconds: Annotated[float, RATE] = 1800.0
    """Seconds without a click after which a session ends, and is recorded as it is."""


@writes_to_its_out("site", flag="record")
def main(arguments: Arguments) -> None:
    """Serve until Ctrl-C or SIGTERM; sessions under way are recorded then."""
    from algorithms.services.site.opening import opened_site

    where = arguments.shop, arguments.record, arguments.policies, arguments.split, arguments.watch
    run_server(partial(opened_site, arguments, *where), arguments)


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
