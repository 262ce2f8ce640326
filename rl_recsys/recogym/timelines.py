"""Users who click nothing: what each viewed, and the recommendations between two visits to the shop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_recsys.core import counter
from rl_recsys.recogym.crowd import Crowd
from rl_recsys.recogym.draws import Kind
from rl_recsys.recogym.settings import Settings, SettingsError
from rl_recsys.recogym.worlds import open_crowd


@dataclass(frozen=True)
class Timelines:
    """R runs of recommendations, user by user; within a run a user's views and click probabilities stay.

    A click would change little of it: it opens another visit to the shop, and keeps a user who was about to leave.
    """

    #: Whose each run is [R].
    users: np.ndarray
    #: Which of all N recommendations is a run's first [R + 1], and the number of its event [R].
    starts: np.ndarray
    events: np.ndarray
    #: See ``Crowd.taste`` [R, W].
    tastes: np.ndarray
    #: The products that were viewed [V], user by user, each user's in order.
    views: np.ndarray
    #: For each run [R]: where in ``views`` its user begins, what was viewed before the run ends, and its user ends.
    firsts: np.ndarray
    ends: np.ndarray
    lasts: np.ndarray
    crowd: Crowd

    @classmethod
    def play(cls, settings: Settings, users: int) -> Timelines:
        """Users 0 to ``users`` - 1 of the paired stream.

        Raises ``SettingsError`` in the original's stream, and where all users leave before any recommendation.
        """
        crowd = open_crowd(settings, users)
        everybody = np.arange(users)
        crowd.begin(everybody, everybody)
        views, runs, played = [], [], []
        seen, run_of, begun = np.zeros(users, int), np.full(users, -1), 0
        while True:
            views += crowd.views
            moved = np.zeros(users, bool)
            for places, _ in crowd.views:
                moved[places] = True
                seen[places] += 1
            there = np.flatnonzero(~crowd.left)
            if not len(there):
                break
            new = there[moved[there]]
            runs.append((new, crowd.event[new], seen[new], crowd.taste[new]))
            run_of[new] = begun + np.arange(len(new))
            begun += len(new)
            played.append(run_of[there])
            crowd.ignore()
        if not played:
            raise SettingsError(f"all {users} users leave before any recommendation: ask for more users")
        return cls._of(crowd, views, runs, np.concatenate(played), seen)

    @classmethod
    def _of(cls, crowd: Crowd, views: list, runs: list, played: np.ndarray, seen: np.ndarray) -> Timelines:
        owners, events, counts, tastes = (np.concatenate(column) for column in zip(*runs, strict=True))
        order = np.lexsort((events, owners))
        lengths = np.bincount(played, minlength=len(owners))[order]
        viewers, products = (np.concatenate(column) for column in zip(*views, strict=True))
        by_user = np.argsort(viewers, kind="stable")
        first = np.concatenate([[0], np.cumsum(seen)])
        owners = owners[order]
        return cls(
            users=owners,
            starts=np.concatenate([[0], np.cumsum(lengths)]),
            events=events[order],
            tastes=tastes[order],
            views=products[by_user],
            firsts=first[owners],
            ends=first[owners] + counts[order],
            lasts=first[owners + 1],
            crowd=crowd,
        )

    @property
    def recommendations(self) -> int:
        """N, of all users."""
        return int(self.starts[-1])

    def run_of(self, recommendation: int) -> int:
        """The run that a recommendation is in."""
        return int(np.searchsorted(self.starts, recommendation, "right")) - 1

    def viewed(self, run: int) -> np.ndarray:
        """The products that its user had viewed when a run began, the oldest first."""
        return self.views[self.firsts[run] : self.ends[run]]

    def next_view(self, run: int) -> int | None:
        """The product that its user views next after a run; None where the user never comes back."""
        return int(self.views[self.ends[run]]) if self.ends[run] < self.lasts[run] else None

    def click_probabilities(self, run: int) -> np.ndarray:
        """Of all products [P] within a run: what no agent can see."""
        return self.crowd.rates(self.tastes[run : run + 1])[0]

    def show(self, recommendation: int, product: int) -> tuple[bool, float]:
        """Whether a product is clicked, shown at a recommendation, and how probable that was."""
        run = self.run_of(recommendation)
        event = self.events[run : run + 1] + (recommendation - self.starts[run])
        key = counter.keys(self.crowd.settings.random_seed, Kind.CLICK, self.users[run : run + 1])
        probability = float(self.click_probabilities(run)[product])
        return bool(counter.uniforms(key, event)[0] >= 1.0 - probability), probability
