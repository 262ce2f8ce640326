"""Sessions recorded elsewhere as trajectories: WebShop's imitation file, its site's logs, and recorded sessions.

Their steps are what ``ChoiceSession`` makes of them, so a policy reads the same words as when it plays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rl_recsys.core.decision import MAX_CHOICES
from rl_recsys.core.trajectory import ImportedSessionError, Step, Trajectory
from rl_recsys.webshop import Goal, Session, Shop, StepResult
from rl_recsys.webshop.imports.known_goals import known_goals
from rl_recsys.webshop.imports.site_logs import logged_actions, logged_sessions
from rl_recsys.webshop.imports.text_pages import ObservationError, TextPage
from rl_recsys.webshop.imports.text_session import TextSession
from rl_recsys.webshop.observe.decisions import ChoiceSession
from rl_recsys.webshop.play.session import parse_action
from rl_recsys.webshop.replay import replay

_BY_TITLE = "click[item - "  # how WebShop's baseline names a product by its title


@dataclass(frozen=True)
class Followed:
    """What following recorded actions gave: the steps that were choices, and the last result."""

    steps: tuple[Step, ...]
    result: StepResult | None
    unlisted: tuple[str, ...]  # actions that could not be taken there, and searches off the search page
    beyond: tuple[str, ...]  # actions that were taken but are no choices: they change nothing, or the page is too long


def follow(session: Session | TextSession, actions: Sequence[str], *, max_choices: int = MAX_CHOICES) -> Followed:
    """Take recorded actions in a session; on the search page the choice is the search that was made."""
    taken = 0

    def queries(instruction: str) -> list[str]:
        searches = (argument for name, argument in map(parse_action, actions[taken:]) if name == "search" and argument)
        return [next(searches, instruction)]

    choices = ChoiceSession(session, queries=queries, max_choices=max_choices)  # longer ones are followed to their end
    steps, unlisted, beyond, result = [], [], [], None
    for action in actions:
        taken += 1
        name, argument = parse_action(action)
        listed = [choice.action for choice in choices.decision.choices]
        canonical = f"{name}[{argument}]"
        if canonical in listed:
            steps.append(Step.of(choices, listed.index(canonical)))
            result = choices.choose(listed.index(canonical))
        else:
            there = name == "click" and argument in session.page.clickables
            (beyond if there else unlisted).append(action)
            result = choices.act(action)
        if session.done:
            break
    return Followed(tuple(steps), result, tuple(unlisted), tuple(beyond))


def imitation_trajectory(
    record: Mapping[str, Any], *, source: str, author: str, reward: float, shop: Shop | None = None
) -> Trajectory:
    """A line of WebShop's imitation file: {"states", "available_actions", "action_idxs", "actions"}; text alone.

    ``reward`` is what the file does not say; without a purchase it is 0. ``shop`` only tells the goal's index. Choices
    beyond those of a long page are taken and not kept as steps. Raises ``ImportedSessionError``.
    """
    try:
        states, listed, indices = (record[key] for key in ("states", "available_actions", "action_idxs"))
        session = TextSession(states)
        written = record.get("actions") or [""] * len(states)
        actions = [
            text if index < 0 else _by_asin(available[index], page)
            for text, index, available, page in zip(written, indices, listed, session.pages, strict=True)
        ]
    except (KeyError, TypeError, IndexError, ValueError, ObservationError) as error:
        raise ImportedSessionError(f"not a line of the imitation file: {error!r}") from None
    followed = follow(session, actions)
    lost = [action for action in followed.unlisted if parse_action(action)[0] != "search"]
    if lost:
        raise ImportedSessionError(f"{lost[0]!r} is on no button of the page it was taken on")
    return Trajectory(
        goal={"instruction_text": session.goal.instruction_text},
        goal_index=known_goals(shop).index({"instruction_text": session.goal.instruction_text}) if shop else -1,
        source=source,
        author=author,
        seed=0,
        steps=followed.steps,
        reward=reward if session.done else 0.0,
        done=session.done,
        reward_parts={"stated": True},
    )


def _by_asin(action: str, page: TextPage) -> str:
    """WebShop's baseline names a product by its title: "click[item - title]"."""
    lowered = action.lower()
    if not lowered.startswith(_BY_TITLE) or not lowered.endswith("]"):
        return action
    title_wanted = lowered.removeprefix(_BY_TITLE).removesuffix("]").strip()  # a title may have brackets
    # Equal titles go to the last product that has one, as in the baseline.
    asins = [asin for asin, (title, _) in page.titles.items() if title.strip().lower() == title_wanted]
    return f"click[{asins[-1].lower()}]" if asins else action


def recorded_trajectory(shop: Shop, record: Mapping[str, Any], *, source: str, author: str) -> Trajectory:
    """A recorded session (see ``rl_recsys.replay``) taken again in a shop that must show what was recorded.

    Actions that were no choice (they changed nothing, searched off the search page, or are beyond the choices of a long
    page) are taken and not kept as steps.
    """
    try:
        difference = replay(shop, record).difference
        actions = [step["action"] for step in record["steps"] if step.get("action") is not None]
    except (KeyError, ValueError, TypeError) as error:
        raise ImportedSessionError(f"not a recorded session: {error!r}") from None
    if difference is not None:
        raise ImportedSessionError(f"{shop.folder} shows something else, {difference}")
    return acted_trajectory(shop, record["goal"], actions, source=source, author=author)[0]


def logged_trajectory(shop: Shop, pages: Sequence[Mapping[str, Any]], *, source: str, author: str) -> Trajectory:
    """The inferred actions of one of ``logged_sessions`` taken again in a shop that has its products.

    Raises ``ImportedSessionError``.
    """
    if not pages or not isinstance(pages[0].get("goal"), Mapping):
        raise ImportedSessionError("no page with a goal")
    if len(logged_sessions(pages)) > 1:
        raise ImportedSessionError("several sessions: give them one by one")
    if pages[0].get("page") != "index":
        raise ImportedSessionError(f"it begins with the page {pages[0].get('page')!r}: the start is missing")
    try:
        actions = logged_actions(pages)
    except (KeyError, ValueError, SyntaxError, TypeError, AttributeError, IndexError) as error:
        raise ImportedSessionError(f"not a site's log: {error!r}") from None
    if not actions:
        raise ImportedSessionError("nothing was done but to look at the start page")
    trajectory, unlisted = acted_trajectory(shop, pages[0]["goal"], actions, source=source, author=author)
    if unlisted:
        raise ImportedSessionError(f"{unlisted[0]!r} cannot be taken in {shop.folder}: it has other products")
    return trajectory


def acted_trajectory(
    shop: Shop,
    goal: Mapping[str, Any],
    actions: Sequence[str],
    *,
    source: str,
    author: str,
    goal_index: int | None = None,
) -> tuple[Trajectory, tuple[str, ...]]:
    """The actions of somebody with a goal, taken again in a shop, and those of them that cannot be taken there.

    ``goal_index``: the goal's place in the shop's order, where it is known. Raises ``ImportedSessionError``.
    """
    try:
        shop_goal = Goal.from_mapping(goal)
        session = shop.session(shop_goal)
    except (ValueError, TypeError, KeyError) as error:
        raise ImportedSessionError(f"not a goal of WebShop: {error}") from None
    followed = follow(session, actions)
    result = followed.result
    trajectory = Trajectory(
        goal=asdict(shop_goal),
        goal_index=known_goals(shop).index(asdict(shop_goal)) if goal_index is None else goal_index,
        source=source,
        author=author,
        seed=0,
        steps=followed.steps,
        reward=result.reward if result and result.done else 0.0,
        done=bool(result and result.done),
        reward_parts=result.reward_parts if result else {},
    )
    return trajectory, followed.unlisted
