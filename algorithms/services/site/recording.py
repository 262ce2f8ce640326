"""What people did, kept: trajectories that policies learn from, and a log as WebShop's own site writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from algorithms.services.site.visits import Visit
from rl_recsys.core.trajectory import Trajectory, TrajectoryWriter, read_trajectories
from rl_recsys.storage.files import naming, read_rows
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.episodes import logged_trajectory
from rl_recsys.webshop.imports.site_logs import logged_page

LOGS = "logs"  # in the folder: a file for each session


class Recording:
    """A folder of human trajectories, one a session, with a log of each session's pages in ``LOGS``.

    A page is logged when it is shown, so a kill loses none; the trajectory is written when the session ends.
    ``recorded`` is called then.
    """

    def __init__(self, folder: Path, site: str, recorded: Callable[[Visit], None]):
        """``site``: where the addresses in the logs begin."""
        self.folder = folder
        self._site, self._recorded = site, recorded
        self._writer: TrajectoryWriter | None = None

    def log_of(self, visit: Visit) -> Path:
        """The log of a visit."""
        return self.folder / LOGS / f"{visit.name}.jsonl"

    def take_up(self, shop: Shop) -> int:
        """Write the trajectories of logged sessions that have none, since a kill ended them; how many.

        A log in which nothing was done yet stays as it is.
        """
        logs = {path.stem: path for path in (self.folder / LOGS).glob("*.jsonl")}
        if logs and any(self.folder.glob("part-*.arrows")):
            for one in read_trajectories(self.folder):
                logs.pop(one.author, None)
        taken_up = 0
        for name, path in sorted(logs.items()):
            pages = read_rows(path, "remove it, or name another --record", cut=True)
            if len(pages) > 1:
                self._write(logged_trajectory(shop, pages, source="human", author=name))
                taken_up += 1
        return taken_up

    def took(self, visit: Visit, actions: int) -> None:
        """The last so many actions of a visit were taken now."""
        if not actions:
            return
        path = self.log_of(visit)
        path.parent.mkdir(exist_ok=True)
        first = visit.number - actions
        shown = range(0 if first == 0 else first + 1, visit.number + 1)  # the start page with the first action
        lines = [json.dumps(self._page(visit, number)) + "\n" for number in shown]
        with naming(path), open(path, "a", encoding="utf-8") as file:
            file.write("".join(lines))

    def _page(self, visit: Visit, number: int) -> dict:
        reward = visit.reward if number == visit.number else None
        return logged_page(visit.at(number), name=visit.name, site=self._site, reward=reward)

    def end(self, visit: Visit) -> None:
        """Write the trajectory of a visit that is over, bought or left; once, and none where nothing was done."""
        if visit.trajectory is not None or not visit.actions:
            return
        trajectory = visit.to_trajectory()
        self._write(trajectory)
        visit.trajectory = trajectory
        self._recorded(visit)

    def _write(self, trajectory: Trajectory) -> None:
        if self._writer is None:  # no part without an episode
            self._writer = TrajectoryWriter(self.folder)
        self._writer.append(trajectory)

    def forget(self, visit: Visit) -> None:
        """Remove what was recorded of a visit that is not over."""
        self.log_of(visit).unlink(missing_ok=True)
        visit.actions.clear()

    def close(self) -> None:
        """End the part that was written to."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
