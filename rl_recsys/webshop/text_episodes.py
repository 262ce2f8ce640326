"""Episodes of an agent that reads the shop's pages as text and writes actions, as WebShop's text environment has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from rl_recsys.core.outcome import paid
from rl_recsys.evaluation.agent_evaluation import AgentEpisode, Planned
from rl_recsys.evaluation.agents.turn import TextAgent, Turn
from rl_recsys.webshop.play.session import Session, StepResult
from rl_recsys.webshop.shop import Shop

LONGEST_ACTION = 10_000  # characters; what is longer is cut, and so mostly no action


def text_episodes(
    shop: Shop, planned: Sequence[Planned], agent: TextAgent, *, observation_mode: str, max_steps: int, at_once: int = 1
) -> Iterator[AgentEpisode]:
    """Play episodes, ``at_once`` of them side by side; each is yielded as it ends.

    Only the agent is asked from several threads, the shop is used from this one. What the page does not offer changes
    nothing and costs a step, as in the original. Raises ``AgentError``.
    """
    begun = (_Episode(shop, one, observation_mode, max_steps) for one in planned)
    if at_once == 1:  # in this thread, as a function may want
        for episode in begun:
            while not episode.is_over:
                episode.take(agent.act(episode.turn))
            yield episode.outcome
        return
    running: dict[Future[str], _Episode] = {}
    with ThreadPoolExecutor(at_once) as asking:
        try:
            for episode in begun:
                running[asking.submit(agent.act, episode.turn)] = episode
                while len(running) == at_once:
                    yield from _advanced(running, asking, agent)
            while running:
                yield from _advanced(running, asking, agent)
        finally:
            for future in running:
                future.cancel()


def _advanced(
    running: dict[Future[str], _Episode], asking: ThreadPoolExecutor, agent: TextAgent
) -> Iterator[AgentEpisode]:
    """Take the actions that are there; the episodes that are over by them."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        episode = running.pop(future)
        episode.take(future.result())
        if episode.is_over:
            yield episode.outcome
        else:
            running[asking.submit(agent.act, episode.turn)] = episode


class _Episode:
    """One episode under way."""

    def __init__(self, shop: Shop, planned: Planned, observation_mode: str, max_steps: int):
        self._planned, self._mode, self._max_steps = planned, observation_mode, max_steps
        self._session: Session = shop.session(planned.goal)
        self._history: list[tuple[str, str]] = []
        self._unchanged = 0
        self._result: StepResult | None = None

    @property
    def is_over(self) -> bool:
        return self._session.done or len(self._history) >= self._max_steps

    @property
    def turn(self) -> Turn:
        session = self._session
        return Turn(
            episode=self._planned.number,
            goal=self._planned.goal,
            step=len(self._history),
            max_steps=self._max_steps,
            instruction=session.goal.instruction_text,
            observation=session.page.observe(self._mode),
            available_actions=session.available_actions,
            history=tuple(self._history),
        )

    def take(self, action: str) -> None:
        # Half of a pair of surrogates, which JSON can hold, is no text that can be searched for.
        action = action[:LONGEST_ACTION].encode(errors="replace").decode()
        before = self._session.page
        self._history.append((before.observe(self._mode), action))
        self._result = self._session.step(action)
        self._unchanged += self._result.page is before

    @property
    def outcome(self) -> AgentEpisode:
        return AgentEpisode(
            number=self._planned.number,
            goal=self._planned.goal,
            reward=paid(self._result),
            steps=len(self._history),
            bought=self._session.done,
            unchanged=self._unchanged,
            actions=[action for _, action in self._history],
            parts=dict(self._result.reward_parts),
        )
