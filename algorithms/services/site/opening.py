"""A site put together: the shop, whom people are compared with, and where it is recorded."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from algorithms.experiments.policy_flags import arms_of, playable_goals
from algorithms.services.server import App, SessionFlags, is_loopback
from algorithms.services.sessions import Sessions
from algorithms.services.site.application import Offer, site
from algorithms.services.site.opponents import Opponents
from algorithms.services.site.recording import LOGS, Recording
from algorithms.services.site.visits import Visit
from rl_recsys.console.progress import phase
from rl_recsys.console.terminal import say
from rl_recsys.core.recording import FINGERPRINT, RECORDED_IN
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.evaluation.episodes_page import Recorded
from rl_recsys.runs.settings import claim
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop.task import WebShop

EPISODES_WATCHED = 200  # of each folder
FEW_SESSIONS, FEW_ITERATIONS = 200, 5  # so few are learnt in fewer iterations than imitation takes for thousands


def opened_site(
    flags: SessionFlags, shop: Place, record: Path, policies: Sequence[str], split: str, watch: Sequence[Place]
) -> App:
    """The site of a shop. ``policies``: NAME=FOLDER or the names of baselines; ``split``: whose goals people get.

    Raises ``UserError`` for what cannot be opened, and for a folder of recordings in another shop.
    """
    task = WebShop.open(shop)
    arms = arms_of(policies, task)
    goals = playable_goals(task, list(task.split(split)), chain(*arms.values()))
    if goals.too_long:
        say(goals)
    begun = any(record.glob("part-*.arrows")) or (record / LOGS).exists()
    world = {FINGERPRINT: task.fingerprint, RECORDED_IN: task.spec}
    claim(record, world, begun=begun, incidental=(RECORDED_IN,))
    learning = _Learning(shop, record, {name: folders[0] for name, folders in arms.items()}, task)
    recording = Recording(record, f"http://{flags.host}:{flags.port}", learning.say_recorded)
    if taken_up := recording.take_up(task.shop):
        say(f"{place_of(record)}: {taken_up} sessions that an earlier end had cut short are trajectories now")
    with phase("starting the search"):
        task.shop.search(task.instruction(goals.goals[0]))
    offer = Offer(
        task=task,
        goals=goals.goals,
        sessions=Sessions(flags.sessions, flags.idle_seconds),
        recording=recording,
        opponents=_opponents(task, arms),
        watched=Recorded.of(watch, EPISODES_WATCHED) if watch else None,
        told=learning.lines if is_loopback(flags.host) else lambda visit: (),
    )
    say(f"recording into {place_of(record)}; each session says how to learn from what was recorded")
    return site(offer)


def _opponents(task: WebShop, arms: dict[str, list[str]]) -> Opponents:
    from policies.base import load_policy

    loaded = {}
    for name, (folder, *_) in arms.items():
        if folder not in task.baselines:
            with phase(f"loading {folder}"):
                loaded[name] = load_policy(folder)
    return Opponents(task, loaded, [name for name in arms if name not in loaded])


class _Learning:
    """Tells whoever runs the site how to learn from the recordings so far."""

    def __init__(self, shop: Place, record: Path, arms: dict[str, str], task: WebShop):
        self._shop, self._record = shop, record
        self._policy = next((folder for folder in arms.values() if folder not in task.baselines), None)
        begun = any(record.glob("part-*.arrows"))
        self._rewards = [one.reward for one in read_trajectories(record)] if begun else []

    def say_recorded(self, visit: Visit) -> None:
        """A session was recorded."""
        one = visit.trajectory
        how = f"reward {one.reward:.2f}" if one.done else "nothing bought"
        say(f"recorded session {visit.name}: goal {visit.goal}, {len(one.steps)} steps, {how}")
        self._rewards.append(one.reward)
        for line in self.lines(visit)[1:]:
            say(line)

    def lines(self, visit: Visit) -> list[str]:
        """Where a session is, and the command that learns from all of them, if any earned something."""
        place = place_of(self._record)
        lines = [f"{place} (trajectories), {place}/{LOGS}/{visit.name}.jsonl (pages)"]
        if max(self._rewards, default=0.0) > 0:
            lines.append(f"python {shlex.join(self._imitate())}")
        return lines

    def _imitate(self) -> list[str]:
        place = place_of(self._record)
        start = [] if self._policy is None else ["--policy", self._policy]
        # Imitation takes what earned all; where nothing did, the best that there is.
        best = max(self._rewards)
        least = [] if best >= 1 else ["--minimum-reward", f"{int(best * 100) / 100:.2f}"]
        few = ["--iterations", str(FEW_ITERATIONS)] if len(self._rewards) < FEW_SESSIONS else []
        return [
            "jobs/imitate.py", "--shop", str(self._shop), "--trajectories", place, *start, *least, *few,
            "--out", f"{place}-imitation",
        ]  # fmt: skip
