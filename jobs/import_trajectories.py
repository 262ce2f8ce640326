"""Make trajectories of sessions recorded elsewhere: WebShop's imitation file, its site's logs, recorded sessions.

    python jobs/import_trajectories.py il_trajs_finalized_images.jsonl --stated-reward 1 --out runs/human
    python jobs/import_trajectories.py user_session_logs/mturk/*.jsonl --shop shops/full --out runs/human

A file of JSON lines is recognised by its keys. The imitation file (states, available_actions, action_idxs) is read
from its texts and says no reward. A site log (a file a session, a line a page) holds no actions: they are inferred, and
taken again in the shop. Recorded sessions (goal, steps; see rl_recsys.replay) are taken again in the shop as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.errors import UserError, plain_errors
from rl_recsys.progress import progress
from rl_recsys.shop import Shop
from rl_recsys.trajectories.imports import (
    ImportedSessionError,
    imitation_trajectory,
    logged_trajectory,
    recorded_trajectory,
)
from rl_recsys.trajectories.record import Trajectory, TrajectoryWriter


@dataclass(kw_only=True)
class Arguments:
    """Import trajectories."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of JSON lines."""
    out: Path
    """Folder of trajectories; what is there stays, and what is imported is added."""
    shop: Path | None = None
    """Shop folder with the products of the sessions; not needed for the imitation file."""
    source: Literal["human", "scripted", "policy"] = "human"
    """Who acted."""
    stated_reward: float | None = None
    """Reward to write for sessions of the imitation file, which has none; its episodes were chosen for being good."""


def main(arguments: Arguments) -> None:
    """Import, and print what was made and what could not be."""
    shop = Shop.open(arguments.shop) if arguments.shop else None
    made, successes, steps, refused = 0, 0, 0, []
    with TrajectoryWriter(arguments.out) as writer, progress("import") as task:
        for where, make in _sessions(arguments, shop):
            try:
                trajectory = make()
            except ImportedSessionError as error:
                refused.append(f"{where}: {error}")
                continue
            writer.append(trajectory)
            made, successes, steps = made + 1, successes + trajectory.success, steps + len(trajectory.steps)
            task.advance()
    for line in refused:
        print(f"  left out: {line}")
    each = f", {steps / made:.1f} steps each" if made else ""
    print(f"{arguments.out}: {made} {arguments.source} trajectories added, {successes} successful{each}")
    if not made:
        raise UserError("nothing was imported; the reasons are above")


def _sessions(arguments: Arguments, shop: Shop | None) -> Iterator[tuple[str, Callable[[], Trajectory]]]:
    """Where each session is, and how its trajectory is made."""
    for path in arguments.files:
        records, author = _records(path), {"source": arguments.source, "author": path.name}
        number, first = next(records, (0, {}))
        if "page" in first:
            pages = [first, *(record for _, record in records)]
            yield str(path), partial(logged_trajectory, _needed(shop, path), pages, **author)
            continue
        for line, record in ((number, first), *records):
            where = f"{path}: line {line}"
            if "states" in record:
                if arguments.stated_reward is None:
                    raise UserError(f"{path} holds no rewards: state one, as --stated-reward 1")
                yield where, partial(imitation_trajectory, record, reward=arguments.stated_reward, **author)
            elif "steps" in record:
                yield where, partial(recorded_trajectory, _needed(shop, path), record, **author)
            else:
                raise UserError(f"{where}: neither an imitation record, nor a page of a log, nor a recorded session")


def _needed(shop: Shop | None, path: Path) -> Shop:
    if shop is None:
        raise UserError(f"{path}: its sessions are taken again in a shop with their products: --shop FOLDER")
    return shop


def _records(path: Path) -> Iterator[tuple[int, dict]]:
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise UserError(f"{path}: line {number}: expected an object, found {type(record).__name__}")
                yield number, record
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON lines: {error}") from None


if __name__ == "__main__":
    with plain_errors():
        main(tyro.cli(Arguments, description=__doc__))
