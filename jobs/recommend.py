"""Recommend products for requests in words, with the options to choose.

    python jobs/recommend.py --shop shops/demo --policy runs/demo/seed-0/dpo/policy \\
        --requests "Find me red shirts for work with size: large, and price lower than 40.00 dollars"
    python jobs/recommend.py --shop shops/demo --policy runs/demo/seed-0/dpo/policy --goals 200

The policy shops for each request several times and recommends what it buys. With --goals the requests are the words of
that many test goals, whose rewards say how good the lists are, beside those of the search alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import phase, progress
from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, SEED
from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.core.encoding import fitting_goals
from rl_recsys.core.task import EPISODES_A_REQUEST
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import percent
from rl_recsys.evaluation.intervals import mean_interval
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.storage.files import write_json
from rl_recsys.storage.locations import Place
from rl_recsys.webshop import Shop
from rl_recsys.webshop.goals.wish import understand
from rl_recsys.webshop.recommending import Answer, Recommendation, search_only
from rl_recsys.webshop.task import WebShop

PLACES = (1, 3, 5)  # of a list, within which something must be worth the whole reward


@dataclass(kw_only=True)
class Arguments(Flags):
    """Recommend."""

    shop: Place
    """Shop folder made by jobs/prepare.py."""
    policy: Place
    """Policy folder."""
    requests: tuple[str, ...] = ()
    """What people want, in words. Prices ("under $40", "between 20 and 40 dollars", "at least $15") and options
    ("size 9", "color: navy") are understood; docs/recommender.md says how."""
    requests_file: Path | None = None
    """A text file with a request a line; each line has its answer, also an empty one."""
    goals: Annotated[int, COUNT_OR_ZERO] = 0
    """Instead of requests: so many of the shop's test goals, to see how good the lists are."""
    top: Annotated[int, COUNT] = 5
    """Products a request."""
    episodes: Annotated[int, COUNT] = EPISODES_A_REQUEST
    """Shopping sessions a request: one of the policy's best actions, the others drawn."""
    seed: Annotated[int, SEED] = 0
    """Decides the draws."""
    out: Place | None = None
    """Folder for recommendations.json; by default they are only shown."""

    def validate(self) -> None:
        """The requests are given in one way."""
        super().validate()
        if self.goals and (self.requests or self.requests_file):
            raise UserError("--goals takes test goals for requests: give it without --requests and --requests-file")


@writes_to_its_out("recommend")
def main(arguments: Arguments) -> None:
    """Shop for every request and print the lists, or how good they are."""
    from policies.base import load_policy
    from policies.recommender import recommend

    task = WebShop.open(arguments.shop)
    shop = task.shop
    with phase(f"loading {arguments.policy}"):
        policy = load_policy(arguments.policy)
    asked = fitting_goals(
        task, list(task.split("test"))[: arguments.goals] if arguments.goals else (), policy.decision_encoder
    )
    goals = asked.goals
    if asked.too_long:
        say(asked)
    requests = [shop.goal(goal).instruction_text for goal in goals] or _requests(arguments)
    answers: list[Answer] = []
    with progress("recommend", len(requests)) as bar:
        for answer in recommend(
            policy, task, requests, top=arguments.top, episodes=arguments.episodes, seed=arguments.seed
        ):
            answers.append(answer)
            bar.advance()
    written: dict[str, object] = {"requests": [answer.to_mapping() for answer in answers]}
    if goals:
        found = [answer.products for answer in answers]
        searched = [search_only(shop, understand(request))[: arguments.top] for request in requests]
        written["success"] = {
            name: _quality(shop, goals, lists, arguments.top)
            for name, lists in (("policy", found), ("search alone", searched))
        }
        _show_quality(written["success"], f"{len(goals)} test goals of {arguments.shop}")
    else:
        for answer in answers:
            _show(answer, arguments.top)
    if arguments.out is not None:
        write_json(arguments.out / "recommendations.json", written)


def _requests(arguments: Arguments) -> list[str]:
    lines: Sequence[str] = ()
    if arguments.requests_file is not None:
        try:
            text = arguments.requests_file.read_text(encoding="utf-8").removesuffix("\n")
            lines = text.split("\n") if text else []  # splitlines breaks at signs that may be in a request
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{arguments.requests_file}: cannot be read ({error}); name a text file with a request a line"
            ) from None
    found = [*arguments.requests, *lines]
    if not any(map(str.strip, found)):
        raise UserError("nothing is asked for: give --requests, --requests-file or --goals")
    return found


def _show(answer: Answer, top: int) -> None:
    """Print what was understood of a request, and its list."""
    if answer.status == "too long":
        say(f"{answer.request}: too long ({answer.tokens} tokens, the policy reads {answer.most}), left out")
        return
    if answer.status == "empty":
        say(f"{answer.request!r} names nothing to search for, left out")
        return
    rows = [
        (
            one.title,
            one.asin,
            one.price + _doubt(answer, one),
            ", ".join(f"{name}: {value}" for name, value in one.options.items()),
            f"bought in {one.share:.0%}" if one.share else one.source,
            ", ".join(one.lacks) or "-",
        )
        for one in answer.products
    ]
    said = answer.request if str(answer.wish) == answer.request else f"{answer.request} (understood: {answer.wish})"
    if rows:
        Table(said, ("product", "asin", "price", "options", "from", "lacks"), rows).show()
    else:
        say(f"{said}: nothing found")
    if len(rows) < top and answer.left_out:
        left = ", ".join(f"{count} {reason}" for reason, count in answer.left_out.items())
        say(f"{len(rows)} of {top}: of what the search found, {left}")


def _doubt(answer: Answer, one: Recommendation) -> str:
    """What a range of prices, or none, leaves open."""
    above = ["above the limit"] if answer.wish.limit is not None and one.within_limit is None else []
    below = ["below the floor"] if answer.wish.floor is not None and one.reaches_floor is None else []
    return f" (may be {' or '.join(above + below)})" if above or below else ""


def _quality(shop: Shop, goals: Sequence[int], lists: Sequence[Sequence[Recommendation]], top: int) -> dict[str, dict]:
    """For each of ``PLACES`` in lists of ``top``: for which share of goals one of the first so many earns all."""
    worth = [
        [shop.session(goal).score(shop.product(one.asin), one.options.values()).total for one in found]
        for goal, found in zip(goals, lists, strict=True)
    ]
    products = [shop.goal(goal).asin for goal in goals]
    quality = {}
    for places in (places for places in PLACES if places <= top):
        succeeded = [float(1.0 in rewards[:places]) for rewards in worth]
        quality[f"in the first {places}"] = {
            "success": sum(succeeded) / len(succeeded),
            "interval": mean_interval([succeeded], products),
        }
    return quality


def _show_quality(quality: dict[str, dict[str, dict]], title: str) -> None:
    names = ("arm", *next(iter(quality.values())))
    rows = [
        (name, *(percent(found["success"], found["interval"]) for found in columns.values()))
        for name, columns in quality.items()
    ]
    Table(f"{title}: something worth the whole reward, % (95 % interval)", names, rows).show()


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
