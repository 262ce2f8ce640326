"""Write the report of a study that jobs/reproduce.py ran: report.html, report.md, the figures and their points.

python jobs/report.py --study runs/laptop
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated

from algorithms.runs.run_folder import RESULTS as ITERATIONS
from algorithms.runs.run_folder import snapshot_folder
from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import format_seconds
from rl_recsys.console.ranges import COUNT_OR_ZERO
from rl_recsys.console.terminal import say
from rl_recsys.core.example_sessions import ExampleSession
from rl_recsys.core.outcome import MODES, is_success
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.core.task import open_task, task_of_shop
from rl_recsys.core.trajectory import Trajectory, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import (
    EQUIVALENT,
    FAILS,
    HOLDS,
    OPEN,
    RESULTS,
    STUDY,
    TIMED,
    Played,
    claims,
    read_evaluation,
    read_results,
    timed_arm,
)
from rl_recsys.evaluation.comparison import COLUMNS, ArmResult, cells, percent
from rl_recsys.evaluation.intervals import mean_interval
from rl_recsys.evaluation.plots import by_size, learning_curves, running_means
from rl_recsys.evaluation.report_page import Picture, Report, Table, write_report
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.pipeline import DONE, read_done
from rl_recsys.runs.provenance import MADE_WITH, made_by, maker
from rl_recsys.storage.files import read_object, read_rows, require_fields
from rl_recsys.storage.locations import Place, place_of

REMEDY = "run jobs/reproduce.py again"
#: Fields of the files that are read here.
DESCRIBED = {"recorded": str, "thompson": str, "arms": dict, "settings": dict, "at_once": int}
SETTINGS = {"shop": str, "seeds": list, "sizes": list, "minutes": list, "demonstrations": int, "generated": int,
            "updates": int, "batch": int, "evaluation_goals": int}  # fmt: skip
TRAINED = {"training_seconds": float, "total_training_seconds": float, "settings": dict, "shares_of_time": dict,
           "precision": str}  # fmt: skip
EXPERIMENT = {"title": str, "runs": list}
EXPERIMENT_RUN = {"run": int, "regret": float, "arms": dict}
EXPERIMENT_ARM = {"pulls": int, "best_probability": float}
SOURCE_WORDS = {"human": "human", "scripted": "scripted", "policy": "generated"}


@dataclass(kw_only=True)
class Arguments(Flags):
    """Write a study's report."""

    study: Path
    """Folder of a finished study (--out of jobs/reproduce.py)."""
    out: Place | None = None
    """Folder of the report and its figures; by default the study's."""
    sessions: Annotated[int, COUNT_OR_ZERO] = 5
    """Episodes to show of those that succeeded, and as many of those that did not."""
    quote: bool = True
    """Show the shop's own words in these: instructions, titles, options. --no-quote leaves them out, for a report that
    goes where the catalogue's texts may not."""


def main(arguments: Arguments) -> None:
    """Read the study, play the examples, write the report."""
    _report(replace(arguments, out=arguments.out or arguments.study))


@writes_to_its_out("report", also=("reproduce",))
def _report(arguments: Arguments) -> None:
    report = Study(arguments.study, arguments.out / "figures", arguments.sessions, quote=arguments.quote).report()
    write_report(report, arguments.out)
    for row in report.claims.rows:
        say(" | ".join(row))
    say(f"report: {place_of(arguments.out / 'report.html')}")


class Study:
    """What a study left in its folder."""

    def __init__(self, folder: Path, figures: Path, sessions: int, *, quote: bool):
        self._folder, self._figures, self._shown_sessions, self._quote = folder, figures, sessions, quote
        self._described = read_object(folder / STUDY, REMEDY, fields=DESCRIBED)
        self._settings = self._described["settings"]
        require_fields(self._settings, SETTINGS, folder / STUDY, REMEDY)
        self._stages = read_done(folder / DONE)
        self._task = open_task(self._described.get("task") or task_of_shop(Path(self._settings["shop"])))
        self._baseline = next(iter(self._task.baselines))

    def report(self) -> Report:
        """Everything the page shows."""
        self._figures.mkdir(parents=True, exist_ok=True)
        shop = self._evaluation["title"]
        rule = self._rule
        n = len(self._settings["seeds"])
        best, sessions = self._sessions()
        summary = [
            f"Shopping agents on {Path(self._settings['shop']).name}: {shop.partition(' of ')[0]}, {n} "
            f"training{'s' if n > 1 else ''} of each arm, the paper's study (Feng & Feng 2024) with every arm "
            "measured on the same goals.",
            f"The demonstrations are {self._source}"
            + (". " if "human" in self._demonstrated else ": no person made them. ")
            + "PPO and DPO start from the imitation policy of their seed and get "
            f"{self._settings['updates']:,} updates of {self._settings['batch']} pairs or decisions; what goes on from "
            "the DPO policy gets as many again, on generated trajectories or, to compare, on the demonstrations. The "
            f"rule baseline succeeds on {rule.success:.1%}.",
            "A success is a reward of exactly 1; score is 100 x the mean reward. Intervals are 95 %: bootstrapped over "
            "seeds and products (goals about one product succeed or fail together), with several seeds at least "
            "Student's t over them, with one at least Wilson's for a success rate.",
        ]
        return Report(
            title="DPO, PPO and generated trajectories: the study repeated",
            summary=summary,
            arms=self._arm_table(),
            claims=self._claim_table(),
            verdicts=(HOLDS, FAILS, OPEN),
            pictures=list(self._pictures()),
            tables=list(self._tables()),
            sessions=sessions,
            sessions_of=f"{self._label(best)}, taking its best action; evenly chosen from its wins and its losses."
            + ("" if self._quote else " The catalogue's words are left out: products stand as their numbers."),
            facts=self._facts(),
        )

    # What was measured

    @cached_property
    def _evaluation(self) -> dict:
        return read_results(self._folder / "evaluation")

    @cached_property
    def _results(self) -> list[ArmResult]:
        """Of every arm, size and time; labelled "arm, mode"."""
        try:
            return [ArmResult(**row) for row in self._evaluation["arms"]]
        except TypeError as error:
            raise self._not_evaluated(str(error)) from None

    @cached_property
    def _rule(self) -> ArmResult:
        for result in self._results:
            if result.arm == self._baseline:
                return result
        raise self._not_evaluated(f"no {self._baseline}")

    @cached_property
    def _played(self) -> dict[tuple[str, str], Played]:
        found = read_evaluation(self._folder / "evaluation")
        for arm in (self._baseline, *self._described["arms"]):
            if (arm, MODES[0]) not in found:
                raise self._not_evaluated(f"no episodes of {arm}")
        return found

    def _not_evaluated(self, reason: str) -> UserError:
        return UserError(f"{self._folder / 'evaluation' / RESULTS}: not of this study ({reason}); {REMEDY}")

    @cached_property
    def _source(self) -> str:
        """Who demonstrated; how many each, where these are several."""
        words = {SOURCE_WORDS[source]: count for source, count in self._demonstrated.items()}
        return next(iter(words)) if len(words) == 1 else " and ".join(f"{n:,} {word}" for word, n in words.items())

    @cached_property
    def _demonstrated(self) -> Counter[str]:
        """How many demonstrations were learnt from, by source."""
        return Counter(one.source for one in self._demonstrations())

    def _demonstrations(self) -> Iterable[Trajectory]:
        """Those that were learnt from."""
        found = read_trajectories(self._described["recorded"], minimum_reward=1.0)
        return islice(found, self._settings["demonstrations"])

    @cached_property
    def _about_test_goals(self) -> int:
        """How many of the demonstrations are about goals that the arms were measured on."""
        measured = set(self._played[self._baseline, MODES[0]].goals)
        return sum(not measured.isdisjoint(self._task.goals_of(one)) for one in self._demonstrations())

    @property
    def _minutes(self) -> list[float]:
        return list(self._settings["minutes"])

    def _own_minutes(self, minutes: float) -> dict[str, list[float]]:
        """DPO's and PPO's training minutes, of every seed, when their policy of so many minutes was kept."""
        return {
            arm: [
                _training(snapshot_folder(run, minutes))["training_seconds"] / 60
                for run in self._described["arms"][arm]
            ]
            for arm in TIMED
        }

    def _time_had(self, minutes: float) -> str:
        """So many minutes of training in words; where an arm's updates were all made before, its last policy played."""
        own = self._own_minutes(minutes)
        ended = [
            f"{self._label(arm)} had ended after {_span(found)}" for arm, found in own.items() if min(found) < minutes
        ]
        return "; ".join([f"within {minutes:g} minutes of training each", *ended])

    def _label(self, arm: str) -> str:
        one = len(self._demonstrated) == 1
        demonstrations = f"{f'{self._demonstrated.total():,} ' if one else ''}{self._source} demonstrations"
        if arm.startswith("dpo-size-"):
            return f"DPO, {arm.removeprefix('dpo-size-')} generated"
        return {
            "imitation": f"imitation, {demonstrations}",
            "ppo": "PPO",
            "dpo": f"DPO, {demonstrations}",
            "dpo-generated": f"DPO, {self._settings['generated']} generated",
            "dpo-on-top": f"DPO on demonstrations, then on {self._settings['generated']} generated",
            "dpo-again": "DPO on demonstrations, twice",
        }.get(arm, arm)

    def _pretty(self, label: str) -> str:
        arm, separator, mode = label.rpartition(", ")
        return f"{self._label(arm)}, {mode}" if separator else self._label(label)

    # Tables

    def _arm_table(self) -> Table:
        rows = []
        for result in self._results:
            name, *others = cells(result)
            arm = name.rpartition(", ")[0]
            if name != self._baseline and arm not in self._described["arms"]:
                continue  # sizes and times have a place of their own
            updates = [self._last(run, "learners/updates") for run in self._described["arms"].get(arm, ())]
            made = f"{sum(updates) / len(updates):,.0f}" if updates else "-"
            rows.append([self._pretty(name), *others, made])
        caption = (
            "gain: success above the imitation policy's, on the same goals from the same seed. training minutes: from "
            "nothing, those of the policy it started from included, evaluations left out"
            f"; {self._described['at_once']} stages ran side by side. updates: of its own training."
        )
        if self._about_test_goals:
            caption += (
                f" {self._about_test_goals:,} of the demonstrations are about measured goals: what "
                "learnt from them has seen these."
            )
        return Table("Every arm on the same goals", [*COLUMNS, "updates"], rows, caption)

    def _claim_table(self) -> Table:
        at_minutes = {
            self._time_had(minutes): {
                (arm, mode): self._played[timed_arm(arm, minutes), mode] for arm in TIMED for mode in MODES
            }
            for minutes in self._minutes
        }
        rows, n = [], len(self._settings["seeds"])
        for claim in claims(self._played, at_minutes, MODES):
            name, separator, rest = claim.text.partition(" is better than the imitation")
            text = f"{self._label(name)} is better than the imitation{rest}" if separator else claim.text
            rows.append([text, claim.where, claim.verdict, claim.numbers])
        caption = (
            "A claim holds, or does not, where the whole 95 % interval of the paired difference is on one side (of "
            f"{-EQUIVALENT:g} points, for 'about as well'). The interval is the widest of a bootstrap over seeds and "
            "products, Student's t over the seeds, and the rule of three where no pair speaks for one side. "
            + ("One training an arm: a verdict is about these trainings, not about the method. " if n == 1 else "")
            + f"{len(rows)} verdicts at 95 % each: one in twenty would be wrong by chance. McNemar's exact test pools "
            "seeds and goals, which are not independent: its p is on the small side."
        )
        return Table("The paper's claims", ["claim", "where", "verdict", "difference (95 %)"], rows, caption)

    def _tables(self) -> Iterable[Table]:
        if self._minutes:
            by_label = {result.arm: cells(result) for result in self._results}
            rows = [
                [f"{minutes:g}", self._pretty(f"{arm}, {mode}"), *found[1:3], _span(own[arm]), found[-1]]
                for minutes in self._minutes
                for own in [self._own_minutes(minutes)]
                for arm in TIMED
                for mode in MODES
                for found in [by_label[f"{timed_arm(arm, minutes)}, {mode}"]]
            ]
            columns = ["minutes", "arm", *COLUMNS[1:3], "its own minutes", "from nothing"]
            caption = (
                "The policies at the end of the first iteration past so many minutes of their own training; the last, "
                "where it was shorter: its own minutes say so."
            )
            yield Table("Equal training time", columns, rows, caption)
        columns = ["arm", "episodes with a purchase", *self._task.reward_parts.values()]
        rows = []
        shown = {
            key: played for key, played in self._played.items() if key[0] in (self._baseline, *self._described["arms"])
        }
        for (arm, mode), played in sorted(shown.items(), key=self._order):
            parts = played.parts(self._task.reward_parts)
            label = arm if arm == self._baseline else self._pretty(f"{arm}, {mode}")
            rows.append([label, f"{parts['bought']:.1%}", *(f"{parts[part]:.3f}" for part in self._task.reward_parts)])
        caption = "Means over the episodes with a purchase, of the parts that the goal has; each is 1 at best."
        yield Table("Reward parts", columns, rows, caption)
        yield self._thompson_table()
        rows = [[name, format_seconds(stage["seconds"])] for name, stage in self._stages.items()]
        total = format_seconds(sum(stage["seconds"] for stage in self._stages.values()))
        caption = (
            f"{total} added up; {self._described['at_once']} ran side by side. What a kill cut off is not counted."
        )
        yield Table("Where the time went", ["stage", "time"], rows, caption)

    @cached_property
    def _experiment(self) -> dict:
        path = Path(self._described["thompson"]) / "thompson.json"
        found = read_object(path, REMEDY, fields=EXPERIMENT)
        for run in found["runs"]:
            require_fields(run, EXPERIMENT_RUN, path, REMEDY)
            for result in run["arms"].values():
                require_fields(result, EXPERIMENT_ARM, path, REMEDY)
        return found

    def _thompson_table(self) -> Table:
        found = self._experiment
        rows = []
        for run in found["runs"]:
            for arm, result in run["arms"].items():
                success = percent(result["success"], result["success_interval"]) if result["pulls"] else "-"
                score = f"{result['score']:.1f}" if result["pulls"] else "-"
                best = f"{result['best_probability']:.1%}"
                rows.append([str(run["run"]), self._label(arm), str(result["pulls"]), success, score, best])
        lost = ", ".join(f"{run['regret']:.1f}" for run in found["runs"])
        seeds = self._settings["seeds"]
        plays = ", ".join(f"run {run['run']} those of seed {seeds[run['run'] % len(seeds)]}" for run in found["runs"])
        caption = (
            f"{found['title']}. Of the trained policies {plays} are arms. Regret of the runs, in successes, by the "
            f"success that the equal evaluation found: {lost}."
        )
        columns = ["run", "arm", "pulls", "success %", "score", "probability to be the best"]
        return Table("Thompson sampling", columns, rows, caption)

    # Pictures

    def _pictures(self) -> Iterable[Picture]:
        groups = (
            ("3", "4", ("imitation", "ppo", "dpo", "dpo-generated")),
            ("5", "6", ("dpo", "dpo-on-top", "dpo-again")),
        )
        for score, success, arms in groups:
            for number, objective, label in (
                (score, "score", "running average score"),
                (success, "success", "running success rate, %"),
            ):
                curves = self._running(objective, arms)
                path = self._figures / f"figure-{number}-{objective}.png"
                named = {(self._label(arm), run): points for (arm, run), points in curves.items()}
                title = f"Figure {number}: {label} over Thompson rollouts"
                running_means(named, path, label, title, order=[self._label(arm) for arm in self._described["arms"]])
                yield Picture(title, path, "One line an arm and run; the paper's axes.")
        yield self._curves()
        if self._settings["sizes"]:
            yield self._sizes()

    def _running(self, objective: str, arms: Sequence[str]) -> dict[tuple[str, int], list[tuple[int, float]]]:
        path = Path(self._described["thompson"]) / f"running_{objective}.csv"
        pulls = sum(result["pulls"] for run in self._experiment["runs"] for result in run["arms"].values())
        found: dict[tuple[str, int], list[tuple[int, float]]] = {}
        try:
            with open(path, newline="", encoding="utf-8") as file:
                _, *rows = csv.reader(file)
            if len(rows) != pulls:
                raise ValueError(f"{len(rows)} pulls of {pulls}")
            for name, run, rollout, mean in rows:
                found.setdefault((name, int(run)), []).append((int(rollout), float(mean)))
        except FileNotFoundError:
            raise UserError(f"{path}: missing; {REMEDY}") from None
        except (ValueError, csv.Error) as error:
            raise UserError(f"{path}: damaged ({error}); {REMEDY}") from None
        return {key: points for arm in arms for key, points in found.items() if key[0] == arm}

    def _curves(self) -> Picture:
        curves = {
            self._label(arm): [_curve(Path(run)) for run in runs] for arm, runs in self._described["arms"].items()
        }
        path = self._figures / "training-minutes.png"
        title = f"Greedy success on {self._settings['evaluation_goals']} training goals while training"
        learning_curves(curves, {"rule (test goals)": self._rule.success}, path, title)
        return Picture(
            "Success against training minutes", path, "A line a seed; the goals are few, so the lines are rough."
        )

    def _sizes(self) -> Picture:
        """Of the first seed, which alone has all sizes."""
        played = self._played
        arms = {size: f"dpo-size-{size}" for size in self._settings["sizes"]}
        arms = sorted((arms | {self._settings["generated"]: "dpo-generated"}).items())
        points = {mode: [(size, *_first_seed(played[arm, mode])) for size, arm in arms] for mode in MODES}
        levels = {f"{self._label(arm)}, greedy": _first_seed(played[arm, "greedy"]) for arm in ("imitation", "dpo")}
        path = self._figures / "generated-trajectories.png"
        title = "DPO on generated trajectories, first seed"
        by_size(points, levels, path, title)
        caption = "One training a size, of the first seed; intervals bootstrapped over products."
        return Picture("Success against the number of generated trajectories", path, caption)

    # Sessions

    def _sessions(self) -> tuple[str, list[ExampleSession]]:
        """Wins and losses of the arm that succeeds most often greedily, from its first seed, and the arm."""
        from policies.base import load_policy
        from policies.play import policy_trajectories

        arms = self._described["arms"]
        best = max(arms, key=lambda arm: float(self._played[arm, "greedy"].values("success")[0].mean()))
        played = self._played[best, "greedy"]
        won = [goal for goal, reward in zip(played.goals, played.rewards[0], strict=True) if is_success(reward)]
        lost = [goal for goal, reward in zip(played.goals, played.rewards[0], strict=True) if not is_success(reward)]
        half = self._shown_sessions
        some = half + max(0, half - len(lost)), half + max(0, half - len(won))  # of one more, where the other has few
        goals = [*_spread(won, some[0]), *_spread(lost, some[1])]
        policy = Path(self._described["arms"][best][0]) / "policy"
        episodes = policy_trajectories(load_policy(policy), self._task, goals, author=best, greedy=True)
        return best, [self._task.example(episode, quote=self._quote) for episode in episodes]

    # Settings

    def _facts(self) -> dict[str, str]:
        folders = [Path(run) for runs in self._described["arms"].values() for run in runs[:1]]
        facts = {
            name.replace("_", " "): _shown(value) for name, value in self._settings.items() if value not in (None, "")
        }
        counts = ", ".join(f"{count:,} {SOURCE_WORDS[source]}" for source, count in self._demonstrated.items())
        facts["demonstrations learnt from"] = f"{counts}, those with a reward of 1 in {self._described['recorded']}"
        facts["shop fingerprint"] = self._evaluation["shop"]
        for folder in folders:
            training = _training(folder / "policy")
            kept = {
                k: v for k, v in training["settings"].items() if k not in ("shop", "out", "shop_fingerprint", "seed")
            }
            shares = ", ".join(f"{name} {share:.0%}" for name, share in training["shares_of_time"].items())
            kept["precision"] = training["precision"]  # as it was, where the setting is "auto"
            facts[f"{folder.name}: settings"] = "; ".join(f"{k} {_shown(v)}" for k, v in kept.items())
            facts[f"{folder.name}: time"] = f"{format_seconds(training['training_seconds'])}: {shares}"
        facts["made with"] = made_by({name: row.get(MADE_WITH, []) for name, row in self._stages.items()})
        facts["this report with"] = made_by({"report": [maker()]})
        return facts

    def _order(self, item: tuple[tuple[str, str], Played]) -> tuple[int, int]:
        (arm, mode), _ = item
        arms = [self._baseline, *self._described["arms"]]
        return arms.index(arm), MODES.index(mode)

    @staticmethod
    def _last(run: str, name: str) -> float:
        return next((row[name] for row in reversed(_iterations(Path(run))) if name in row), 0.0)


def _curve(run: Path) -> list[tuple[float, float]]:
    """(minutes from nothing, success) of a run's evaluations."""
    training = _training(run / "policy")
    before = (training["total_training_seconds"] - training["training_seconds"]) / 60
    found = _iterations(run)
    return [(before + row["minutes"], row["evaluation/success"]) for row in found if "evaluation/success" in row]


def _training(policy: Path) -> dict:
    """How a run's policy was trained."""
    return read_policy_file(policy, TRAINING_FILE, fields=TRAINED)


def _iterations(run: Path) -> list[dict]:
    """The rows of a run, which is finished."""
    path = run / ITERATIONS
    rows = read_rows(path, REMEDY, fields={"iteration": int, "minutes": float})
    if not rows:
        raise UserError(f"{path}: damaged (it is empty); {REMEDY}")
    return rows


def _first_seed(played: Played) -> tuple[float, float, float]:
    """Success and its interval in %."""
    success = played.values("success")[:1]
    return 100 * float(success.mean()), *(100 * bound for bound in mean_interval(success, played.products))


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the items, spread evenly."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
