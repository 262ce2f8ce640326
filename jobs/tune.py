"""Search for the settings of DPO or PPO with Ray Tune: trials from one policy, compared on held-out training goals.

    python jobs/tune.py --algorithm dpo --shop shops/demo --policy runs/demo/seed-0/imitation/policy \\
        --trajectories runs/demo/demonstrations --out runs/demo/tune-dpo
    python jobs/tune.py --algorithm ppo --shop shops/demo --policy runs/demo/seed-0/imitation/policy \\
        --out runs/demo/tune-ppo
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.tuning.search_space import INCIDENTAL, SearchArguments, space_rows
from rl_recsys.console.command import run_job
from rl_recsys.console.terminal import say
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with


@dataclass(kw_only=True)
class Arguments(SearchArguments):
    """A search."""


@writes_to_its_out("tune")
def main(arguments: Arguments) -> None:
    """Search, print the trials best first, and write them down with the command that trains as the best one did."""
    from algorithms.tuning.search import search
    from algorithms.tuning.search_results import training_command, trial_table, write_results

    results, held_out = search(arguments, arguments.out)
    title = f"{arguments.algorithm} on {arguments.shop}: {held_out}, greedy"
    write_results(arguments, results, held_out, arguments.out, title)
    trial_table(arguments, results, title).show()
    say(f"train with the best settings: {training_command(arguments, results[0])}")


def description() -> str:
    """What --help says, with the search space."""
    space = [
        f"    {algorithm} {flag}: {values} (default {default})" for algorithm, flag, values, default in space_rows()
    ]
    return "\n".join([__doc__, goes_on_with(INCIDENTAL), "", "Searched settings:", *space])


if __name__ == "__main__":
    run_job(main, Arguments, description())
