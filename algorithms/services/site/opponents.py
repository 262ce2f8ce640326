"""What agents do with the wish that a person had: played once a goal, in a thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rl_recsys.console.terminal import say
from rl_recsys.core.play import scripted_episode
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.errors import UserError
from rl_recsys.evaluation.episodes_page import Episode
from rl_recsys.webshop.task import WebShop

GOALS_KEPT = 500


@dataclass(frozen=True)
class Played:
    """What each agent did with a goal, and by name why one did not play."""

    episodes: Sequence[Episode]
    failed: Mapping[str, str]


class Opponents:
    """Agents by name: policies, and baselines of the task, which play greedily."""

    def __init__(self, task: WebShop, policies: Mapping[str, Any], baselines: Sequence[str]):
        """``policies``: name -> ``policies.base.Policy``."""
        self._task, self._policies, self._baselines = task, dict(policies), list(baselines)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="opponents")
        self._played: OrderedDict[int, Future[Played]] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """The agents, in the order that they are shown in."""
        return [*self._policies, *self._baselines]

    def play(self, goal: int) -> Future[Played]:
        """What they do with a goal, soon; what was played lately is known at once."""
        if goal in self._played:
            self._played.move_to_end(goal)
        else:
            self._played[goal] = self._thread.submit(self._play, goal)
            if len(self._played) > GOALS_KEPT:
                self._played.popitem(last=False)
        return self._played[goal]

    def judge(self, trajectory: Trajectory, arm: str) -> Future[Episode]:
        """Somebody's episode with how likely the first policy takes each of its choices, if there is a policy."""
        return self._thread.submit(self._judge, trajectory, arm, next(iter(self._policies), ""))

    def _play(self, goal: int) -> Played:
        from policies.play import policy_trajectories

        episodes, failed = [], {}
        for name in self.names:
            try:
                if name in self._policies:
                    (one,) = policy_trajectories(self._policies[name], self._task, [goal], author=name, greedy=True)
                else:
                    one = scripted_episode(self._task, goal, self._task.baselines[name], author=name)
                episodes.append(self._judge(one, name, name if name in self._policies else ""))
            except UserError as error:
                failed[name] = str(error)
                say(f"{name} does not play goal {goal}: {error}")
        return Played(episodes, failed)

    def _judge(self, trajectory: Trajectory, arm: str, policy: str) -> Episode:
        from policies.watched import with_probabilities

        episode = Episode(arm, trajectory)
        return with_probabilities(episode, self._policies[policy], policy) if policy else episode

    def close(self) -> None:
        """Play nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
