"""The policy as a recommender: what it ends its sessions with, over several for a request, is what it recommends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from policies.base import Policy
from policies.play import SESSIONS_AT_ONCE, play_together
from rl_recsys.core.task import EPISODES_A_REQUEST, Task


def recommend(
    policy: Policy,
    task: Task,
    requests: Sequence[str],
    *,
    top: int = 5,
    episodes: int = EPISODES_A_REQUEST,
    seed: int = 0,
) -> Iterator[Any]:
    """For each request, in words and in order, an answer with at most ``top`` different items, the best first.

    Of ``episodes`` sessions the first takes the policy's best actions, in the others they are drawn. What was taken
    most often stands first, of what was taken equally often the earlier. The answer is the task's; of a shop see
    ``rl_recsys.webshop.recommending.Answer``. Raises ``TaskError`` for a task that answers no requests.
    """
    desk = task.request_desk()
    for start in range(0, len(requests), SESSIONS_AT_ONCE):
        chunk = requests[start : start + SESSIONS_AT_ONCE]
        read = [desk.read(request, policy.decision_encoder) for request in chunk]
        goals = [understood.goal for understood in read if understood.goal is not None]
        best = play_together(policy, task, goals, [0] * len(goals), greedy=True)
        choices = [[desk.choice(episode.session, result)] for episode, result in best]
        draws = range(1, episodes)
        repeated = [goal for goal in goals for _ in draws]
        sampled = play_together(policy, task, repeated, [*draws] * len(goals), greedy=False, seed=seed)
        for taken in choices:
            for _ in draws:
                episode, result = next(sampled)
                taken.append(desk.choice(episode.session, result))
        each = iter(choices)
        for understood in read:
            yield understood if understood.goal is None else desk.answer(understood, next(each), top)
