"""What a study left in its folder: read once, checked field by field, and named in words for the report."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from algorithms.runs.run_folder import RESULTS as ITERATIONS
from algorithms.runs.run_folder import snapshot_folder
from rl_recsys.core.outcome import MODES
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.core.task import open_task, task_of_shop
from rl_recsys.core.trajectory import Trajectory, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import RESULTS, STUDY, TIMED, Played, read_evaluation, read_results
from rl_recsys.evaluation.comparison import ArmResult
from rl_recsys.runs.pipeline import DONE, read_done
from rl_recsys.storage.files import read_object, read_rows, require_fields, require_items

REMEDY = "run jobs/reproduce.py again"
#: Fields of the files that are read here.
DESCRIPTION = {"recorded": str, "thompson": str, "arms": dict, "settings": dict, "at_once": int}
SETTINGS = {"seeds": list, "sizes": list, "minutes": list, "demonstrations": int, "generated": int,
            "updates": int, "batch": int, "evaluation_goals": int}  # fmt: skip
ARM = {"arm": str, "score": float, "score_interval": list, "success": float, "success_interval": list, "steps": float,
       "episodes": int, "training_minutes": float, "seeds": list}  # fmt: skip
TRAINING = {"training_seconds": float, "total_training_seconds": float, "settings": dict, "shares_of_time": dict,
            "precision": str}  # fmt: skip
EXPERIMENT = {"title": str, "runs": list}
EXPERIMENT_RUN = {"run": int, "regret": float, "arms": dict}
EXPERIMENT_ARM = {"pulls": int, "best_probability": float}
PLAYED_ARM = {"success": float, "success_interval": list, "score": float}  # of an arm that has pulls
SOURCE_WORDS = {"human": "human", "scripted": "scripted", "policy": "generated"}


class StudyResults:
    """A finished study's folder. Raises ``UserError`` naming the file and the remedy where something is damaged."""

    def __init__(self, folder: Path):
        self.folder = folder
        path = folder / STUDY
        self.description = read_object(path, REMEDY, fields=DESCRIPTION)
        self.settings = self.description["settings"]
        of_task = "task" in self.settings  # else of a shop
        require_fields(self.settings, SETTINGS | {"task" if of_task else "shop": str}, path, REMEDY)
        for name, kind in (("seeds", int), ("sizes", int), ("minutes", float)):
            require_items(self.settings[name], kind, f"{path}, {name!r} of its settings", REMEDY)
        self.runs: dict[str, list[str]] = self.description["arms"]
        if not self.runs or not self.settings["seeds"]:
            raise UserError(f"{path}: damaged (it has no arms, or no seeds); {REMEDY}")
        for arm, runs in self.runs.items():
            require_items(runs, str, f"{path}, arm {arm!r}", REMEDY, at_least=1)
        self.stages = read_done(folder / DONE)
        self.task = open_task(self.settings["task"] if of_task else task_of_shop(Path(self.settings["shop"])))
        self.world: str = self.settings["task"] if of_task else Path(self.settings["shop"]).name
        self.baseline = next(iter(self.task.baselines), None)

    @property
    def arms(self) -> list[str]:
        """The baseline, if there is one, and the trained arms."""
        return [*filter(None, [self.baseline]), *self.runs]

    @property
    def left_out(self) -> list[str]:
        """What the study or its report lacks because the task has none of it, as sentences."""
        sentences = {
            "The task has no baseline: every arm is trained.": self.baseline,
            "The task names no parts of a reward, so there is no table of them.": self.task.reward_parts,
        }
        return [sentence for sentence, there in sentences.items() if not there]

    @cached_property
    def evaluation(self) -> dict:
        """What the evaluation wrote of itself and its arms."""
        return read_results(self.folder / "evaluation")

    @cached_property
    def arm_results(self) -> list[ArmResult]:
        """Of every arm, size and time; labelled "arm, mode"."""
        path = self.folder / "evaluation" / RESULTS
        for number, row in enumerate(self.evaluation["arms"], 1):
            where = f"{path}, arm {number}"
            require_fields(row, ARM, where, REMEDY)
            for interval in ("score_interval", "success_interval", "gain_interval"):
                if row.get(interval) is not None:
                    require_items(row[interval], float, f"{where}, {interval!r}", REMEDY, at_least=2)
            if row.get("gain") is not None:
                require_fields(row, {"gain": float, "gain_interval": list}, where, REMEDY)
        try:
            return [ArmResult(**row) for row in self.evaluation["arms"]]
        except TypeError as error:
            raise self._not_evaluated(str(error)) from None

    @cached_property
    def baseline_result(self) -> ArmResult | None:
        """The figures of the task's first baseline, where it has one."""
        if self.baseline is None:
            return None
        for result in self.arm_results:
            if result.arm == self.baseline:
                return result
        raise self._not_evaluated(f"no {self.baseline}")

    @cached_property
    def played(self) -> dict[tuple[str, str], Played]:
        """(arm, mode) -> episodes."""
        episodes_of = read_evaluation(self.folder / "evaluation")
        for arm in self.arms:
            if (arm, MODES[0]) not in episodes_of:
                raise self._not_evaluated(f"no episodes of {arm}")
        return episodes_of

    def _not_evaluated(self, reason: str) -> UserError:
        return UserError(f"{self.folder / 'evaluation' / RESULTS}: not of this study ({reason}); {REMEDY}")

    @cached_property
    def source(self) -> str:
        """Who demonstrated; how many each, where these are several."""
        words = {SOURCE_WORDS[source]: count for source, count in self.demonstrated.items()}
        return next(iter(words)) if len(words) == 1 else " and ".join(f"{n:,} {word}" for word, n in words.items())

    @cached_property
    def demonstrated(self) -> Counter[str]:
        """How many demonstrations were learnt from, by source."""
        return Counter(trajectory.source for trajectory in self._demonstrations())

    def _demonstrations(self) -> Iterable[Trajectory]:
        """Those that were learnt from."""
        successful = read_trajectories(self.description["recorded"], minimum_reward=1.0)
        return islice(successful, self.settings["demonstrations"])

    @cached_property
    def demonstrations_about_test_goals(self) -> int:
        """How many of the demonstrations are about goals that the arms were measured on."""
        measured = set(self.played[self.arms[0], MODES[0]].goals)
        return sum(not measured.isdisjoint(self.task.goals_of(trajectory)) for trajectory in self._demonstrations())

    @property
    def timed(self) -> list[str]:
        """The arms that are compared at equal training times."""
        return [arm for arm in TIMED if arm in self.runs]

    def own_minutes(self, minutes: float) -> dict[str, list[float]]:
        """The timed arms' training minutes, of every seed, when their policy of so many minutes was kept."""
        return {
            arm: [training_of_policy(snapshot_folder(run, minutes))["training_seconds"] / 60 for run in self.runs[arm]]
            for arm in self.timed
        }

    def time_had(self, minutes: float) -> str:
        """So many minutes of training in words; where an arm's updates were all made before, its last policy played."""
        own = self.own_minutes(minutes)
        ended = [
            f"{self.label(arm)} had ended after {span(trained)}"
            for arm, trained in own.items()
            if min(trained) < minutes
        ]
        return "; ".join([f"within {minutes:g} minutes of training each", *ended])

    def label(self, arm: str) -> str:
        """What an arm is, in words."""
        of_one_source = len(self.demonstrated) == 1
        demonstrations = f"{f'{self.demonstrated.total():,} ' if of_one_source else ''}{self.source} demonstrations"
        if arm.startswith("dpo-size-"):
            return f"DPO, {arm.removeprefix('dpo-size-')} generated"
        return {
            "imitation": f"imitation, {demonstrations}",
            "ppo": "PPO",
            "grpo": "GRPO",
            "gigpo": "GiGPO",
            "dpo": f"DPO, {demonstrations}",
            "dpo-generated": f"DPO, {self.settings['generated']} generated",
            "dpo-on-top": f"DPO on demonstrations, then on {self.settings['generated']} generated",
            "dpo-again": "DPO on demonstrations, twice",
        }.get(arm, arm)

    def label_with_mode(self, label: str) -> str:
        """ "arm, mode" in words."""
        arm, separator, mode = label.rpartition(", ")
        return f"{self.label(arm)}, {mode}" if separator else self.label(label)

    @cached_property
    def experiment(self) -> dict:
        """What Thompson sampling wrote of its runs."""
        path = Path(self.description["thompson"]) / "thompson.json"
        experiment = read_object(path, REMEDY, fields=EXPERIMENT)
        for run in experiment["runs"]:
            require_fields(run, EXPERIMENT_RUN, path, REMEDY)
            for arm, result in run["arms"].items():
                where = f"{path}, run {run['run']}, arm {arm!r}"
                require_fields(result, EXPERIMENT_ARM, where, REMEDY)
                if result["pulls"]:
                    require_fields(result, PLAYED_ARM, where, REMEDY)
                    require_items(result["success_interval"], float, where, REMEDY, at_least=2)
        return experiment

    def running_means(self, objective: str, arms: Sequence[str]) -> dict[tuple[str, int], list[tuple[int, float]]]:
        """(arm, run) -> (rollout, mean so far) of Thompson sampling."""
        path = Path(self.description["thompson"]) / f"running_{objective}.csv"
        pulls = sum(result["pulls"] for run in self.experiment["runs"] for result in run["arms"].values())
        means: dict[tuple[str, int], list[tuple[int, float]]] = {}
        try:
            with open(path, newline="", encoding="utf-8") as file:
                _, *rows = csv.reader(file)
            if len(rows) != pulls:
                raise ValueError(f"{len(rows)} pulls of {pulls}")
            for name, run, rollout, mean in rows:
                means.setdefault((name, int(run)), []).append((int(rollout), float(mean)))
        except FileNotFoundError:
            raise UserError(f"{path}: missing; {REMEDY}") from None
        except (ValueError, csv.Error) as error:
            raise UserError(f"{path}: damaged ({error}); {REMEDY}") from None
        return {key: points for arm in arms for key, points in means.items() if key[0] == arm}

    def order(self, item: tuple[tuple[str, str], Played]) -> tuple[int, int]:
        """Where an arm's episodes stand in a table: by arm, then mode."""
        (arm, mode), _ = item
        return self.arms.index(arm), MODES.index(mode)

    @staticmethod
    def last_value(run: str, name: str) -> float:
        """The last value of a metric that a run reported; 0 where it has none."""
        return next((row[name] for row in reversed(iterations(Path(run))) if name in row), 0.0)


def learning_curve(run: Path) -> list[tuple[float, float]]:
    """(minutes from nothing, success) of a run's evaluations."""
    training = training_of_policy(run / "policy")
    before = (training["total_training_seconds"] - training["training_seconds"]) / 60
    return [
        (before + row["minutes"], row["evaluation/success"]) for row in iterations(run) if "evaluation/success" in row
    ]


def training_of_policy(policy: Path) -> dict:
    """How a run's policy was trained."""
    training = read_policy_file(policy, TRAINING_FILE, fields=TRAINING)
    where = f"{policy / TRAINING_FILE}, 'shares_of_time'"
    require_items(list(training["shares_of_time"].values()), float, where, REMEDY)
    return training


def iterations(run: Path) -> list[dict]:
    """The rows of a run, which is finished."""
    path = run / ITERATIONS
    rows = read_rows(path, REMEDY, fields={"iteration": int, "minutes": float})
    if not rows:
        raise UserError(f"{path}: damaged (it is empty); {REMEDY}")
    return rows


def span(values: Sequence[float]) -> str:
    """The least and the largest value as text."""
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"
