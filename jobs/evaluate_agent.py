"""Score anybody's shopping agent: a Python function, a policy folder, a process, or a model at an address.

python jobs/evaluate_agent.py --shop shops/demo --function my_agent:act --out runs/kit/mine
python jobs/evaluate_agent.py --shop shops/demo --command "python my_agent.py" --out runs/kit/process
python jobs/evaluate_agent.py --shop shops/demo --address http://127.0.0.1:8000/v1 --model NAME --out runs/kit/model
python jobs/evaluate_agent.py --shop shops/demo --policy runs/demo/seed-0/ppo/policy --out runs/kit/ppo
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rl_recsys.console.command import run_job
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import deciding, goes_on_with
from rl_recsys.storage.locations import Place
from rl_recsys.webshop.agents.flags import VERL, AgentFlags

INCIDENTAL = ("out", "shop", "task", "answer_seconds")


@dataclass(kw_only=True)
class Arguments(AgentFlags):
    """Score an agent."""

    out: Place
    """Folder for table.md, results.json and the episodes; those found there are not played again."""


@writes_to_its_out("evaluate_agent")
def main(arguments: Arguments) -> None:
    """Play, and write the table."""
    from rl_recsys.webshop.agents.evaluation import AgentEvaluation, shop_of
    from rl_recsys.webshop.agents.protocols import split_goals, verl_goals

    task = arguments.open_task()
    shop = shop_of(task)
    protocol = split_goals(shop, arguments.split, arguments.goals)
    if arguments.protocol == VERL:
        protocol = verl_goals(shop, arguments.validations, arguments.seed)
    evaluation = AgentEvaluation(task, protocol, arguments.out, deciding(arguments, INCIDENTAL))
    evaluation.play(arguments.called, lambda goals: _episodes(arguments, goals, task))
    evaluation.write(arguments.called, arguments.door)


def _episodes(arguments: Arguments, goals: list[tuple[int, int]], task: object) -> Iterator:
    """The agent's session on each (number, goal)."""
    from rl_recsys.webshop.agents.doors import opened
    from rl_recsys.webshop.agents.session import AgentOutcome, play_agent

    if arguments.policy is not None:
        from policies.base import load_policy
        from policies.play import policy_episodes

        policy, asked = load_policy(arguments.policy), [goal for _, goal in goals]
        for outcome in policy_episodes(policy, task, asked, greedy=True, max_steps=arguments.max_steps):
            yield AgentOutcome(outcome, invalid=0)
        return
    with opened(
        arguments.door, getattr(arguments, arguments.door), model=arguments.model, template=arguments.template,
        temperature=arguments.sampled_at, answer_s=arguments.answer_seconds, seed=arguments.seed,
    ) as agent:  # fmt: skip
        for number, goal in goals:
            yield play_agent(task.shop, agent, number, goal, max_steps=arguments.max_steps)


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
