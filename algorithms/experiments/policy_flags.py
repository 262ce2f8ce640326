"""The arms of a comparison, as jobs are told them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rl_recsys.core.encoding import FittingGoals, fitting_goals, load_decision_encoder
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError
from rl_recsys.storage.file_names import require_file_name
from rl_recsys.storage.locations import Place


def arms_of(policies: Sequence[str], task: Task) -> dict[str, list[str]]:
    """NAME=FOLDER flags as name -> policy folders; a name given several times is one arm trained with several seeds.

    The name of one of the task's baselines alone is that baseline. Raises ``UserError`` for another form,
    ``PolicyError`` where a folder is none.
    """
    arms: dict[str, list[str]] = defaultdict(list)
    for policy in policies:
        name, separator, folder = policy.partition("=")
        if policy in task.baselines:
            folder = policy
            if policy in arms:
                raise UserError(f"--policies {policy}: given twice, and it has no seeds")
        elif not (separator and name and folder) or name in task.baselines:
            others = f" with another name than {' or '.join(task.baselines)}, or one of these alone"
            raise UserError(f"--policies {policy!r}: expected NAME=FOLDER{others if task.baselines else ''}")
        elif folder in task.baselines:
            raise UserError(f"--policies {policy!r}: write {name}=./{folder} if that is a folder, not the baseline")
        else:
            require_file_name(name, "--policies: the arm")  # its episodes, pulls and figures are called by it
            read_policy_file(folder, TRAINING_FILE)
        arms[name].append(folder)
    return dict(arms)


def training_of(folder: str, task: Task) -> dict:
    """How an arm's policy was trained; of a baseline without a model its version."""
    if folder in task.baselines:
        return {"version": task.baselines[folder].version}
    return read_policy_file(folder, TRAINING_FILE)


def playable_goals(task: Task, goals: Sequence[int], folders: Iterable[Place]) -> FittingGoals:
    """The goals that the policies of all ``folders`` can play, so that all play the same; baselines play any."""

    encoders = [load_decision_encoder(folder) for folder in folders if folder not in task.baselines]
    return fitting_goals(task, goals, *encoders) if encoders else FittingGoals(goals)
