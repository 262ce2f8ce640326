"""Score any agent on a shop: a Python function, a policy, a process that speaks JSON lines, or a model at an address.

    python jobs/evaluate_agent.py --shop shops/demo --function docs.agents.rule_agent:act --name rule --out runs/rule
    python jobs/evaluate_agent.py --shop shops/demo --policy runs/a/ppo/policy --name ppo --out runs/scored-ppo
    python jobs/evaluate_agent.py --shop shops/demo --process "python docs/agents/rule_process.py" --name p --out runs/p
    python jobs/evaluate_agent.py --shop shops/demo --chat http://127.0.0.1:8000/v1 --model NAME --name m --out runs/m

docs/evaluation-kit.md has the messages and the protocols; jobs/leaderboard.py makes a page of several results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.core.task import Task, open_task, task_of_shop
from rl_recsys.core.task_flags import FINGERPRINT
from rl_recsys.errors import UserError
from rl_recsys.evaluation.agents.door_flags import INCIDENTAL_TO_DOORS, DoorFlags
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import claim, deciding, goes_on_with
from rl_recsys.storage.folders import digest_of
from rl_recsys.storage.locations import Place, local_folder

if TYPE_CHECKING:
    from rl_recsys.evaluation.agent_evaluation import AgentEpisode, Planned

INCIDENTAL = ("out", "shop", "name", *INCIDENTAL_TO_DOORS)
DOORS = ("function", "policy", "process", "chat")


@dataclass(kw_only=True)
class Arguments(DoorFlags):
    """Score an agent: exactly one of --function, --policy, --process and --chat says which."""

    shop: Place
    """Shop folder made by jobs/prepare.py."""
    name: str
    """What tables and leaderboards call the agent."""
    out: Place
    """Folder for the episodes, table.md and results.json."""
    policy: Place | None = None
    """The agent is the policy of this folder."""
    protocol: Literal["test", "verl-128"] = "test"
    """test: the shop's test goals, each once. verl-128: as verl-agent validates, on draws of 128 from all goals."""
    goals: Annotated[int, COUNT] = 500
    """Of the protocol test: how many goals, the first ones."""
    validations: Annotated[int, COUNT] = 5
    """Of the protocol verl-128: how many draws, to see how far such figures scatter."""
    max_steps: Annotated[int, COUNT] = 15
    """Actions an episode."""
    observation_mode: Literal["text_rich", "text", "html", "url"] = "text_rich"
    """How the shop's text environment shows a page; a policy reads decisions instead."""
    temperature: Annotated[float | None, WEIGHT] = None
    """Of --policy and --chat: 0 takes the likeliest, else they sample at it. By default 0, and 0.4 in verl-128."""
    seed: Annotated[int, SEED] = 0
    """Decides what a policy samples, and in verl-128 the goals, as its env.seed does."""

    def validate(self) -> None:
        """One agent must be named."""
        super().validate()
        if sum(getattr(self, door) is not None for door in DOORS) != 1:
            raise UserError(f"name one agent: give one of {', '.join(f'--{door}' for door in DOORS)}")


@writes_to_its_out("evaluate_agent")
def main(arguments: Arguments) -> None:
    """Play what is left, and write the table and the results."""
    from rl_recsys.evaluation.agent_evaluation import EPISODES, EpisodeFile, write_evaluation
    from rl_recsys.webshop.agent_protocols import plan_of, temperature_of

    task, folder = open_task(task_of_shop(arguments.shop)), arguments.out
    plan = plan_of(
        arguments.protocol, task.shop, goals=arguments.goals, validations=arguments.validations,
        max_steps=arguments.max_steps, seed=arguments.seed,
    )  # fmt: skip
    temperature = temperature_of(arguments.protocol, arguments.temperature)
    agent = _described(arguments, task, temperature)
    settings = deciding(arguments, INCIDENTAL) | {FINGERPRINT: task.fingerprint, "agent": agent}
    claim(folder, settings, begun=(folder / EPISODES).is_file(), incidental=INCIDENTAL)
    file = EpisodeFile(folder, plan)
    file.resume()
    played = file.play(arguments.name, lambda left: _played(arguments, task, left, temperature))
    write_evaluation(folder, task, plan, {"name": arguments.name, **agent}, played)


def _described(arguments: Arguments, task: Task, temperature: float) -> dict[str, Any]:
    """What results say of the agent."""
    if arguments.policy is None:
        return arguments.details(temperature) | {"reads": arguments.observation_mode}
    digest = digest_of(local_folder(arguments.policy))
    reads = f"decisions, format {task.decision_format}"
    return {"kind": "policy", "policy": digest, "temperature": temperature, "reads": reads}


def _played(arguments: Arguments, task: Task, left: Sequence[Planned], temperature: float) -> Iterator[AgentEpisode]:
    """The agent's episodes."""
    steps = arguments.max_steps
    if arguments.policy is not None:
        from policies.agent_episodes import agent_episodes
        from policies.base import load_policy

        policy = load_policy(arguments.policy)
        yield from agent_episodes(policy, task, left, max_steps=steps, temperature=temperature, seed=arguments.seed)
        return
    from rl_recsys.webshop.text_episodes import text_episodes

    mode = arguments.observation_mode
    at_once = arguments.sessions
    with closing(arguments.open_agent(temperature)) as agent:
        yield from text_episodes(task.shop, left, agent, observation_mode=mode, max_steps=steps, at_once=at_once)


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
