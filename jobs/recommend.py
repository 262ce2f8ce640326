"""Recommend products for requests in words, with the options to choose.

    python jobs/recommend.py --shop shops/demo --policy runs/demo/seed-0/dpo/policy \\
        --requests "Find me red shirts for work with size: large, and price lower than 40.00 dollars"
    python jobs/recommend.py --shop shops/demo --policy runs/demo/seed-0/dpo/policy --goals 200

The policy shops for each request several times and recommends what it buys. With --goals the requests are the words of
that many test goals, whose rewards say how good the lists are, beside those of the search alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import phase, progress
from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, SEED
from rl_recsys.console.terminal import say
from rl_recsys.core.encoding import fitting_goals
from rl_recsys.core.task import EPISODES_A_REQUEST
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.storage.files import write_json
from rl_recsys.storage.locations import Place
from rl_recsys.webshop.answer_display import show_answer
from rl_recsys.webshop.list_quality import quality_beside_search, quality_table
from rl_recsys.webshop.recommending import Answer, read_requests
from rl_recsys.webshop.task import WebShop


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
    with phase(f"loading {arguments.policy}"):
        policy = load_policy(arguments.policy)
    goals = list(task.split("test"))[: arguments.goals] if arguments.goals else ()
    fitting = fitting_goals(task, goals, policy.decision_encoder)
    if fitting.too_long:
        say(fitting)
    requests = [task.instruction(goal) for goal in fitting.goals] or read_requests(
        arguments.requests, arguments.requests_file
    )
    answers: list[Answer] = []
    with progress("recommend", len(requests)) as bar:
        for answer in recommend(
            policy, task, requests, top=arguments.top, episodes=arguments.episodes, seed=arguments.seed
        ):
            answers.append(answer)
            bar.advance()
    written: dict[str, object] = {"requests": [answer.to_mapping() for answer in answers]}
    if fitting.goals:
        written["quality"] = quality_beside_search(task.shop, fitting.goals, answers, arguments.top)
        for hit, qualities in written["quality"].items():
            quality_table(qualities, f"{len(fitting.goals)} test goals of {arguments.shop}: {hit}").show()
    else:
        for answer in answers:
            show_answer(answer, arguments.top)
    if arguments.out is not None:
        write_json(arguments.out / "recommendations.json", written)


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
