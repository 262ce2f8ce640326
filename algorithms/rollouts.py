"""Episodes on given goals in many processes: Ray actors, each with a shop, a policy and Java of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import ray
import torch

from algorithms.cluster import require_resources
from policies.choice_model import ChoiceModel, decision_encoder
from policies.episodes import RULE, SESSIONS_AT_ONCE, Outcome, policy_episodes, rule_episodes
from rl_recsys.errors import UserError
from rl_recsys.shop import shared_shop

CHUNK = 2 * SESSIONS_AT_ONCE  # goals a worker is given at a time


@ray.remote
class _RolloutWorker:
    """Plays goals with one policy after another; hosts its own shop and Java."""

    def __init__(self, shop: str, device: str):
        torch.set_num_threads(1)
        self._shop, self._device = shared_shop(shop), device
        self._policy = RULE

    def play(self, policy: str, goals: Sequence[int], greedy: bool, seed: int) -> list[Outcome]:
        """The outcomes of these goals."""
        if policy == RULE:
            return list(rule_episodes(self._shop, goals))
        if policy != self._policy:
            self._model = ChoiceModel.from_pretrained(policy).to(self._device)
            self._encoder, self._policy = decision_encoder(policy), policy
        return list(policy_episodes(self._model, self._encoder, self._shop, goals, greedy=greedy, seed=seed))


class RolloutPool:
    """Ray actors that play goals in parallel; start it once for many policies, and ``close`` it.

    Raises ``UserError`` for fewer than one worker, and ``ClusterError`` where the cluster cannot hold them.
    """

    def __init__(self, shop: str | Path, *, num_workers: int = 2, num_gpus: float = 0.0):
        if num_workers < 1:
            raise UserError(f"{num_workers} rollout workers: at least one is needed")
        require_resources({"CPU": num_workers, "GPU": num_gpus})
        options = {"num_cpus": 1, "num_gpus": num_gpus / num_workers}
        arguments = str(Path(shop).resolve()), "cuda" if num_gpus else "cpu"
        self._workers = [_RolloutWorker.options(**options).remote(*arguments) for _ in range(num_workers)]

    def play(
        self,
        policy: str | Path,
        goals: Sequence[int],
        *,
        greedy: bool = True,
        seed: int = 0,
        progress: Callable[[int], None] = lambda episodes: None,
    ) -> list[Outcome]:
        """Outcomes of a policy folder (or "rule") on these goals, in their order."""
        name = RULE if str(policy) == RULE else str(Path(policy).resolve())
        chunks = [list(goals[start : start + CHUNK]) for start in range(0, len(goals), CHUNK)]
        idle, pending, found = list(self._workers), {}, {}
        while chunks or pending:
            while chunks and idle:
                worker = idle.pop()
                pending[worker.play.remote(name, chunks.pop(0), greedy, seed)] = worker
            ready, _ = ray.wait(list(pending))
            for reference in ready:
                idle.append(pending.pop(reference))
                outcomes = ray.get(reference)
                found |= {outcome.goal: outcome for outcome in outcomes}
                progress(len(outcomes))
        return [found[goal] for goal in goals]

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            ray.kill(worker)

    def __enter__(self) -> RolloutPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
