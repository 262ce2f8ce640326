"""Make trajectories of sessions recorded elsewhere: WebShop's imitation file, its site's logs, recorded sessions.

    python jobs/import_trajectories.py il_trajs_finalized_images.jsonl --stated-reward 1 --out runs/human
    python jobs/import_trajectories.py user_session_logs/mturk/*.jsonl --shop shops/full --out runs/human

A file of JSON lines, or of one JSON list, is recognised by its keys. The imitation file (states, available_actions,
action_idxs) is read from its texts and says no reward. A site log (a record a page) holds no actions: they are
inferred, and taken again in the shop; a session ends with its purchase, and where another goal begins. Recorded
sessions (goal, steps; see rl_recsys.replay) are taken again in the shop as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import SHARE
from rl_recsys.console.terminal import say
from rl_recsys.core.trajectory import ImportedSessionError, Trajectory, TrajectoryWriter
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.files import require_new
from rl_recsys.storage.folders import whole_folder
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.episodes import imitation_trajectory, logged_trajectory, recorded_trajectory
from rl_recsys.webshop.imports.site_logs import logged_sessions

FILES_SHOWN = 20
PLACES_SHOWN = 3  # of sessions that are left out for one reason
_NAMES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")
_Record = tuple[str, dict | ImportedSessionError]  # where it is, and what


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
    made, successes, steps, refused = 0, 0, 0, _Refused()
    require_new(arguments.out)
    with (
        whole_folder(arguments.out, kind="set of trajectories") as aside,
        TrajectoryWriter(aside) as writer,
        progress("import") as task,
    ):
        for number, path in enumerate(arguments.files):
            made_before, refused_before = made, refused.count
            for where, make in _sessions(path, arguments, shop):
                try:
                    trajectory = make()
                except ImportedSessionError as error:
                    refused.add(f"{path}: {where}", error)
                    continue
                writer.append(trajectory)
                made, successes, steps = made + 1, successes + trajectory.success, steps + len(trajectory.steps)
                task.advance()
            if number < FILES_SHOWN:
                imported, left_out = made - made_before, refused.count - refused_before
                say(f"  {path}: {imported + left_out} sessions, {imported} imported, {left_out} left out")
        if len(arguments.files) > FILES_SHOWN:
            say(f"  and {len(arguments.files) - FILES_SHOWN} more files")
        for line in refused.lines():
            say(f"  left out: {line}")
        if not made:
            raise UserError(f"nothing was imported: {next(refused.lines(), 'there is no session')}")
    told = f"{successes} successful, {steps / made:.1f} steps each; {refused.count or 'none'} left out"
    say(f"{place_of(arguments.out)}: {made} {arguments.source} trajectories, {told}")


class _Refused:
    """Sessions that were left out, by reason: reasons that differ in names and numbers only are told once."""

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[str, tuple[str, list[str]]] = {}

    def add(self, where: str, error: ImportedSessionError) -> None:
        self.count += 1
        reason = str(error)
        self._groups.setdefault(_NAMES.sub("", reason), (reason, []))[1].append(where)

    def lines(self) -> Iterator[str]:
        for reason, places in self._groups.values():
            more = f" and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
            alike = ", or the like" if len(places) > 1 else ""
            yield f"{', '.join(places[:PLACES_SHOWN])}{more}: {reason}{alike}"


def _sessions(path: Path, arguments: Arguments, shop: Shop | None) -> Iterator[tuple[str, Callable[[], Trajectory]]]:
    """Where each session of a file is, and how its trajectory is made."""
    author = {"source": arguments.source, "author": path.name}
    records = _records(path)
    begun = []
    for record in records:
        begun.append(record)
        if isinstance(record[1], dict):
            break
    every = chain(begun, records)
    if begun and isinstance(begun[-1][1], dict) and "page" in begun[-1][1]:
        yield from _logged(list(every), partial(logged_trajectory, _needed(shop, path), **author))
        return
    for where, record in every:
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
            unknown = "neither an imitation record, nor a page of a log, nor a recorded session"
            yield where, partial(_refuse, ImportedSessionError(unknown))


def _logged(records: list[_Record], make: Callable[..., Trajectory]) -> Iterator[tuple[str, Callable[[], Trajectory]]]:
    """The sessions of a site log. One with a page that cannot be read is left out, the others are not."""
    where = {id(record): place for place, record in records}
    # What cannot be read is taken to be of the session before it.
    pages: list[dict] = []
    damaged: dict[int, ImportedSessionError] = {}
    for _, record in records:
        if not isinstance(record, ImportedSessionError):
            pages.append(record)
        elif pages:
            damaged[id(pages[-1])] = record
    first = records[0][1]
    for session in logged_sessions(pages):
        begins = where[id(session[0])]
        bad = next((damaged[id(page)] for page in session if id(page) in damaged), None)
        if bad is None and session[0] is pages[0] and isinstance(first, ImportedSessionError):
            bad = first
        yield f"the session at {begins}", partial(_refuse, bad) if bad else partial(make, session)


def _needed(shop: Shop | None, path: Path) -> Shop:
    if shop is None:
        raise UserError(f"{path}: its sessions are taken again in a shop with their products: --shop FOLDER")
    return shop


def _records(path: Path) -> Iterator[_Record]:
    """Where each record of a file of JSON lines, or of a JSON list, is, and the record.

    An error stands in the place of what is no JSON object. Blank lines are none.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            first = next(lines, None)
            if first is not None and first[1].lstrip().startswith("["):
                yield from _list_records(first[1] + file.read())
                return
            for number, line in chain(filter(None, [first]), lines):
                try:
                    yield f"line {number}", _object(json.loads(line))
                except ValueError as error:
                    yield f"line {number}", ImportedSessionError(f"not JSON: {error}")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not a JSON list: {error}") from None


def _list_records(text: str) -> Iterator[_Record]:
    for number, record in enumerate(json.loads(text)):
        yield f"record {number}", _object(record)


def _object(record: object) -> dict | ImportedSessionError:
    if isinstance(record, dict):
        return record
    return ImportedSessionError(f"expected an object, found {type(record).__name__}")


def _refuse(error: ImportedSessionError) -> Trajectory:
    raise error


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
