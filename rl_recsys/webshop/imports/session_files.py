"""Files of recorded sessions, each of one kind, which is known by its keys, and how their trajectories are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from rl_recsys.core.trajectory import ImportedSessionError, Trajectory
from rl_recsys.errors import UserError
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.episodes import imitation_trajectory, logged_trajectory, recorded_trajectory
from rl_recsys.webshop.imports.record_files import Record, read_records
from rl_recsys.webshop.imports.site_logs import logged_sessions


class FileSession(NamedTuple):
    """A session of a file: where in it, and a function that makes its trajectory or raises ``ImportedSessionError``."""

    place: str
    make: Callable[[], Trajectory]


@dataclass(frozen=True, slots=True)
class SessionReader:
    """Reads WebShop's imitation file, its site's logs, and recorded sessions.

    ``source`` is who acted (one of ``SOURCES``), ``shop`` has the products of the sessions, and ``stated_reward`` is
    the reward of the imitation file's sessions, which has none.
    """

    source: str
    shop: Shop | None = None
    stated_reward: float | None = None

    def sessions(self, path: Path) -> Iterator[FileSession]:
        """The sessions of a file. Raises ``UserError`` where it cannot be read, or needs a shop or a reward."""
        author = {"source": self.source, "author": path.name}
        records = read_records(path)
        leading = []  # what cannot be read, and the first record that can
        for record in records:
            leading.append(record)
            if isinstance(record.content, dict):
                break
        if leading and isinstance(leading[-1].content, dict) and "page" in leading[-1].content:
            make = partial(logged_trajectory, self._shop_for(path), **author)
            yield from _logged([*leading, *records], make)
            return
        for place, content in chain(leading, records):
            if isinstance(content, ImportedSessionError):
                yield FileSession(place, partial(_refuse, content))
            elif "states" in content:
                if self.stated_reward is None:
                    raise UserError(f"{path} holds no rewards: state one, as --stated-reward 1")
                make = partial(imitation_trajectory, content, reward=self.stated_reward, shop=self.shop, **author)
                yield FileSession(place, make)
            elif "steps" in content:
                yield FileSession(place, partial(recorded_trajectory, self._shop_for(path), content, **author))
            else:
                unknown = "neither an imitation record, nor a page of a log, nor a recorded session"
                yield FileSession(place, partial(_refuse, ImportedSessionError(unknown)))

    def _shop_for(self, path: Path) -> Shop:
        if self.shop is None:
            raise UserError(f"{path}: its sessions are taken again in a shop with their products: --shop FOLDER")
        return self.shop


def _logged(records: Sequence[Record], make: Callable[..., Trajectory]) -> Iterator[FileSession]:
    """The sessions of a site log. One with a page that cannot be read is left out, the others are not."""
    places = {id(record.content): record.place for record in records}
    # What cannot be read is taken to be of the session before it.
    pages: list[dict] = []
    damaged: dict[int, ImportedSessionError] = {}
    for record in records:
        if not isinstance(record.content, ImportedSessionError):
            pages.append(record.content)
        elif pages:
            damaged[id(pages[-1])] = record.content
    first = records[0].content
    for session in logged_sessions(pages):
        error = next((damaged[id(page)] for page in session if id(page) in damaged), None)
        if error is None and session[0] is pages[0] and isinstance(first, ImportedSessionError):
            error = first
        place = f"the session at {places[id(session[0])]}"
        yield FileSession(place, partial(_refuse, error) if error else partial(make, session))


def _refuse(error: ImportedSessionError) -> Trajectory:
    raise error
