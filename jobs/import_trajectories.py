"""Make trajectories of sessions recorded elsewhere: WebShop's imitation file, its site's logs, recorded sessions.

    python jobs/import_trajectories.py il_trajs_finalized_images.jsonl --stated-reward 1 --out runs/human
    python jobs/import_trajectories.py user_session_logs/mturk/*.jsonl --shop shops/full --out runs/human

A file of JSON lines, or of one JSON list, is recognised by its keys. The imitation file (states, available_actions,
action_idxs) is read from its texts and says no reward. A site log (a record a page) holds no actions: they are
inferred, and taken again in the shop; a session ends with its purchase, and where another goal begins. Recorded
sessions (goal, steps; see rl_recsys.replay) are taken again in the shop as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.ranges import SHARE
from rl_recsys.console.terminal import say
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.importing import import_sessions
from rl_recsys.webshop.imports.session_files import SessionReader


@dataclass(kw_only=True)
class Arguments(Flags):
    """Import trajectories."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of JSON lines or of a JSON list."""
    out: Place
    """Folder of trajectories to write, whole or not at all; jobs/trajectories.py puts folders together."""
    shop: Place | None = None
    """Shop folder with the products of the sessions; for the imitation file it only tells which goal is whose."""
    source: Literal["human", "scripted", "policy"] = "human"
    """Who acted."""
    stated_reward: Annotated[float | None, SHARE] = None
    """Reward to write for sessions of the imitation file, which has none; its episodes were chosen for being good."""


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Import, and print what was made and what could not be."""
    shop = Shop.open(arguments.shop) if arguments.shop else None
    reader = SessionReader(arguments.source, shop, arguments.stated_reward)
    counts, left_out = import_sessions(arguments.files, reader, arguments.out)
    went = f"{counts.successes} successful, {counts.mean_steps:.1f} steps each; {left_out or 'none'} left out"
    say(f"{place_of(arguments.out)}: {counts.episodes} {arguments.source} trajectories, {went}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
