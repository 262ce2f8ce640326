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


@ray.remote
class RolloutWorker:
    """An actor that plays goals with one policy, or with the rule; it hosts its own shop and Java."""

    def __init__(self, shop: str, policy: str, device: str):
        torch.set_num_threads(1)
        self._shop = shared_shop(shop)
        self._model = None
        if policy != RULE:
            self._model, self._encoder = ChoiceModel.from_pretrained(policy).to(device), decision_encoder(policy)

    def play(self, goals: Sequence[int], greedy: bool, seed: int) -> list[Outcome]:
        """The outcomes of these goals."""
        if self._model is None:
            return list(rule_episodes(self._shop, goals))
        return list(policy_episodes(self._model, self._encoder, self._shop, goals, greedy=greedy, seed=seed))


def evaluate(
    shop: str | Path,
    policy: str | Path,
    goals: Sequence[int],
    *,
    greedy: bool = True,
    seed: int = 0,
    num_workers: int = 2,
    num_gpus: float = 0.0,
    progress: Callable[[int], None] = lambda episodes: None,
) -> list[Outcome]:
    """Outcomes of a policy folder (or "rule") on these goals, in their order, played by Ray actors in parallel."""
    if num_workers < 1:
        raise UserError(f"{num_workers} rollout workers: at least one is needed")
    require_resources({"CPU": num_workers, "GPU": num_gpus})
    name = RULE if str(policy) == RULE else str(Path(policy).resolve())
    options = {"num_cpus": 1, "num_gpus": num_gpus / num_workers}
    device = "cuda" if num_gpus else "cpu"
    workers = [
        RolloutWorker.options(**options).remote(str(Path(shop).resolve()), name, device) for _ in range(num_workers)
    ]
    chunks = [list(goals[start : start + 2 * SESSIONS_AT_ONCE]) for start in range(0, len(goals), 2 * SESSIONS_AT_ONCE)]
    idle, pending, found = list(workers), {}, {}
    try:
        while chunks or pending:
            while chunks and idle:
                worker = idle.pop()
                pending[worker.play.remote(chunks.pop(0), greedy, seed)] = worker
            ready, _ = ray.wait(list(pending))
            for reference in ready:
                idle.append(pending.pop(reference))
                outcomes = ray.get(reference)
                found |= {outcome.goal: outcome for outcome in outcomes}
                progress(len(outcomes))
    finally:
        for worker in workers:
            ray.kill(worker)
    return [found[goal] for goal in goals]
