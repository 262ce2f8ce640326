"""Write recorded episodes as one page to step through, filter and put side by side: no server, no other file.

    python jobs/watch.py runs/demo/demonstrations --out episodes.html
    python jobs/watch.py runs/people runs/demo/generated --policy runs/demo/seed-0/dpo/policy --out episodes.html

The page shows what was seen at each step, what could be done, what was done, what it was paid and why. With --policy
each choice has a bar: how likely that policy would take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import phase
from rl_recsys.console.ranges import COUNT
from rl_recsys.console.terminal import say
from rl_recsys.storage.locations import Place


@dataclass(kw_only=True)
class Arguments(Flags):
    """Watch episodes."""

    folders: Annotated[tuple[Place, ...], tyro.conf.Positional]
    """Folders of trajectories, whoever made them: people, the demonstrator, a policy."""
    out: Path
    """File of the page; an earlier page of this job is replaced."""
    policy: Place | None = None
    """Policy folder whose probabilities are shown at every step."""
    episodes: Annotated[int, COUNT] = 200
    """Episodes of each folder, the first ones; some 30 kB of the page each."""


def main(arguments: Arguments) -> None:
    """Read the episodes and write the page."""
    from rl_recsys.evaluation.episodes_page import Recorded, episodes_page, write_episodes_page

    recorded = Recorded.of(arguments.folders, arguments.episodes)
    episodes = recorded.episodes
    if arguments.policy is not None:
        from policies.base import load_policy
        from policies.watched import with_probabilities

        with phase(f"{arguments.policy} reads {len(episodes)} episodes"):
            policy = load_policy(arguments.policy)
            episodes = [with_probabilities(episode, policy, "the policy") for episode in episodes]
    title = f"Episodes of {', '.join(map(str, arguments.folders))}"
    write_episodes_page(arguments.out.expanduser(), episodes_page(episodes, title, task=recorded.task))
    left = f"; --episodes shows more: {recorded.left_out} are left out" if recorded.left_out else ""
    say(f"{arguments.out}: {len(episodes)} episodes to watch in a browser{left}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
