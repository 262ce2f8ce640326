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

from rl_recsys.command import run_job
from rl_recsys.errors import UserError
from rl_recsys.files import require_new
from rl_recsys.folders import whole_folder
from rl_recsys.outputs import replaces_its_out
from rl_recsys.progress import progress
from rl_recsys.shop import Shop
from rl_recsys.storage import Place, place_of
from rl_recsys.terminal import say
from rl_recsys.trajectories.imports import imitation_trajectory, logged_trajectory, recorded_trajectory
from rl_recsys.trajectories.record import ImportedSessionError, Trajectory, TrajectoryWriter


@dataclass(kw_only=True)
class Arguments:
    """Import trajectories."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of JSON lines."""
    out: Place
    """Folder of trajectories to write, whole or not at all; jobs/trajectories.py puts folders together."""
    shop: Place | None = None
    """Shop folder with the products of the sessions; for the imitation file it only tells which goal is whose."""
    source: Literal["human", "scripted", "policy"] = "human"
    """Who acted."""
    stated_reward: float | None = None
    """Reward to write for sessions of the imitation file, which has none; its episodes were chosen for being good."""


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Import, and print what was made and what could not be."""
    shop = Shop.open(arguments.shop) if arguments.shop else None
    made, successes, steps, refused = 0, 0, 0, []
    require_new(arguments.out)
    with (
        whole_folder(arguments.out, kind="set of trajectories") as aside,
        TrajectoryWriter(aside) as writer,
        progress("import") as task,
    ):
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
            say(f"  left out: {line}")
        if not made:
            raise UserError("nothing was imported; the reasons are above")
    each = f"{steps / made:.1f} steps each"
    say(f"{place_of(arguments.out)}: {made} {arguments.source} trajectories, {successes} successful, {each}")


def _sessions(arguments: Arguments, shop: Shop | None) -> Iterator[tuple[str, Callable[[], Trajectory]]]:
    """Where each session is, and how its trajectory is made."""
    for path in arguments.files:
        records, author = _records(path), {"source": arguments.source, "author": path.name}
        if records and isinstance(records[0][1], dict) and "page" in records[0][1]:
            shop_of_log = _needed(shop, path)
            bad = next((record for _, record in records if isinstance(record, ImportedSessionError)), None)
            pages = [record for _, record in records]
            make = partial(logged_trajectory, shop_of_log, pages, **author)
            yield str(path), partial(_refuse, bad) if bad else make
            continue
        for line, record in records:
            where = f"{path}: line {line}"
            if isinstance(record, ImportedSessionError):
                yield where, partial(_refuse, record)
            elif "states" in record:
                if arguments.stated_reward is None:
                    raise UserError(f"{path} holds no rewards: state one, as --stated-reward 1")
                stated = arguments.stated_reward
                yield where, partial(imitation_trajectory, record, reward=stated, shop=shop, **author)
            elif "steps" in record:
                yield where, partial(recorded_trajectory, _needed(shop, path), record, **author)
            else:
                raise UserError(f"{where}: neither an imitation record, nor a page of a log, nor a recorded session")


def _needed(shop: Shop | None, path: Path) -> Shop:
    if shop is None:
        raise UserError(f"{path}: its sessions are taken again in a shop with their products: --shop FOLDER")
    return shop


def _records(path: Path) -> list[tuple[int, dict | ImportedSessionError]]:
    """Number and record of each line; an error in the place of what is no JSON object."""
    found: list[tuple[int, dict | ImportedSessionError]] = []
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                except ValueError as error:
                    record = ImportedSessionError(f"not JSON: {error}")
                if not isinstance(record, (dict, ImportedSessionError)):
                    record = ImportedSessionError(f"expected an object, found {type(record).__name__}")
                found.append((number, record))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    return found


def _refuse(error: ImportedSessionError) -> Trajectory:
    raise error


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
