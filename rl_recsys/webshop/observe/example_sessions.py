"""Episodes for people to read, with the shop's words or without them."""

from __future__ import annotations

from collections.abc import Mapping

from rl_recsys.core.example_sessions import ExampleSession, SessionStep, shown_state
from rl_recsys.core.trajectory import Step, Trajectory
from rl_recsys.webshop.observe.decisions import ChoiceKind
from rl_recsys.webshop.play.reward import REWARD_PARTS

PRODUCTS = (ChoiceKind.PRODUCT, ChoiceKind.SEEN_PRODUCT, ChoiceKind.BEST_SEEN)


def example_session(episode: Trajectory, *, quote: bool) -> ExampleSession:
    """An episode in words; without ``quote`` in none of the catalogue's: products stand as their numbers, wanted
    options are counted, and what was chosen on a page is named by its place."""
    goal = episode.goal
    options = goal.get("goal_options") or {}
    listed = [f"{k}: {v}" for k, v in options.items()] if isinstance(options, Mapping) else list(map(str, options))
    parts = (("options", listed), ("attributes", list(goal.get("attributes", ()))))
    product = goal.get("name", "?") if quote else goal.get("asin", "?")
    wanted = f"Wanted: {product}" + "".join(
        f"; {name} {', '.join(values)}" if quote else f"; {len(values)} {name}" for name, values in parts if values
    )
    steps = [_step(step) if quote else _step_without_words(step) for step in episode.steps]
    instruction = goal["instruction_text"] if quote else f"goal {episode.goal_index}"
    return ExampleSession(instruction, wanted, _outcome(episode), episode.success, steps)


def _outcome(episode: Trajectory) -> str:
    if episode.success and _bought(episode) not in (None, str(episode.goal.get("asin", "")).lower()):
        return "reward 1, a success with another product, which has all that was asked for"
    if episode.success:
        return "reward 1, a success"
    if not episode.done:
        return "nothing bought"
    parts = {name[2:]: float(episode.reward_parts[name]) for name in REWARD_PARTS if name in episode.reward_parts}
    return f"reward {episode.reward:.2f} ({', '.join(f'{name} {value:.2f}' for name, value in parts.items())})"


def _bought(episode: Trajectory) -> str | None:
    """The asin of the product whose page was opened last, as it is clicked."""
    opened = [step for step in episode.steps if step.kinds[step.chosen] in PRODUCTS]
    return opened[-1].actions[opened[-1].chosen].removeprefix("click[").removesuffix("]") if opened else None


def _step(step: Step) -> SessionStep:
    page = shown_state(step) or "search"
    action = step.actions[step.chosen]
    if step.kinds[step.chosen] in PRODUCTS:
        action += f" {step.choices[step.chosen]}"
    return SessionStep(page, action, len(step.actions))


def _step_without_words(step: Step) -> SessionStep:
    """A step as its kind of page and the place of its action among its like."""
    kind = ChoiceKind(step.kinds[step.chosen])
    like = [place for place, one in enumerate(step.kinds) if one == kind]
    place = f"{like.index(step.chosen) + 1} of {len(like)}"
    action = step.actions[step.chosen]
    said = {
        ChoiceKind.SEARCH: f"search, query {place}",
        ChoiceKind.BUTTON: action,
        ChoiceKind.NAMED_OPTION: f"option {place} that the instruction names",
        ChoiceKind.OPTION: f"option {place} of groups that are open",
        ChoiceKind.OTHER_OPTION: f"option {place} instead of another",
        ChoiceKind.PRODUCT: f"{action}, product {place}",
        ChoiceKind.SEEN_PRODUCT: f"{action}, seen product {place}",
        ChoiceKind.BEST_SEEN: f"{action}, the best product seen",
    }[kind]
    page = step.state[1]
    listed = page.startswith("results") or page == "search"
    return SessionStep(page if listed else "page of a product", said, len(step.actions))
