"""The tables of a study's report."""

from __future__ import annotations

from collections.abc import Iterable

from algorithms.experiments.study_results import StudyResults, span
from algorithms.experiments.thompson_results import arm_cells, regrets
from rl_recsys.console.progress import format_seconds
from rl_recsys.console.table import Table
from rl_recsys.core.outcome import MODES
from rl_recsys.evaluation.claims import EQUIVALENT, claims, timed_arm
from rl_recsys.evaluation.comparison import COLUMNS, cells


def arm_table(study: StudyResults) -> Table:
    """Every trained arm and the baseline, on the same goals."""
    rows = []
    for result in study.arm_results:
        name, *others = cells(result)
        arm = name.rpartition(", ")[0]
        if name != study.baseline and arm not in study.runs:
            continue  # sizes and times have a place of their own
        updates = [study.last_value(run, "learners/updates") for run in study.runs.get(arm, ())]
        made = f"{sum(updates) / len(updates):,.0f}" if updates else "-"
        rows.append([study.label_with_mode(name), *others, made])
    caption = (
        "gain: success above the imitation policy's, on the same goals from the same seed. training minutes: from "
        "nothing, those of the policy it started from included, evaluations left out"
        f"; {study.description['at_once']} stages ran side by side. updates: of its own training."
    )
    if study.demonstrations_about_test_goals:
        caption += (
            f" {study.demonstrations_about_test_goals:,} of the demonstrations are about measured goals: what "
            "learnt from them has seen these."
        )
    return Table("Every arm on the same goals", [*COLUMNS, "updates"], rows, caption)


def claim_table(study: StudyResults) -> Table:
    """The paper's claims, and what the study says to each."""
    at_minutes = {
        study.time_had(minutes): {
            (arm, mode): study.played[timed_arm(arm, minutes), mode] for arm in study.timed for mode in MODES
        }
        for minutes in study.settings["minutes"]
    }
    rows, seeds = [], len(study.settings["seeds"])
    for claim in claims(study.played, at_minutes, MODES):
        name, separator, rest = claim.text.partition(" is better than the imitation")
        text = f"{study.label(name)} is better than the imitation{rest}" if separator else claim.text
        family = "first" if claim.primary else "second"
        rows.append([text, claim.where, claim.verdict, claim.numbers, f"{claim.p:.2g}, {family}"])
    caption = (
        "A claim holds, or does not, where the whole 95 % interval of the paired difference is on one side (of "
        f"{-EQUIVALENT:g} points, for 'about as well') and Holm's p is below 0.05. The interval is the "
        "widest of a bootstrap over seeds and "
        f"{study.task.words.cluster}s, Student's t over the seeds, and the rule of three where no pair speaks for one "
        "side. "
        + ("One training an arm: a verdict is about these trainings, not about the method. " if seeds == 1 else "")
        + "Holm's p is that of the interval, corrected for the claims of its family: the first are those of the "
        "success of best actions, the second all others. In 95 of 100 studies a family calls no difference that is "
        "not there, where the results are looked at once. McNemar's exact test pools seeds and goals, which are not "
        "independent: its p is on the small side and settles nothing."
    )
    return Table(
        "The paper's claims", ["claim", "where", "verdict", "difference (95 %)", "Holm's p, family"], rows, caption
    )


def other_tables(study: StudyResults) -> Iterable[Table]:
    """Equal training time, parts of the reward, Thompson sampling, and where the time went."""
    if study.settings["minutes"]:
        by_label = {result.arm: cells(result) for result in study.arm_results}
        rows = [
            [f"{minutes:g}", study.label_with_mode(f"{arm}, {mode}"), *arm_cells[1:3], span(own[arm]), arm_cells[-1]]
            for minutes in study.settings["minutes"]
            for own in [study.own_minutes(minutes)]
            for arm in study.timed
            for mode in MODES
            for arm_cells in [by_label[f"{timed_arm(arm, minutes)}, {mode}"]]
        ]
        columns = ["minutes", "arm", *COLUMNS[1:3], "its own minutes", "from nothing"]
        caption = (
            "The policies at the end of the first iteration past so many minutes of their own training; the last, "
            "where it was shorter: its own minutes say so."
        )
        yield Table("Equal training time", columns, rows, caption)
    if study.task.reward_parts:
        yield _reward_table(study)
    yield _thompson_table(study)
    rows = [[name, format_seconds(stage["seconds"])] for name, stage in study.stages.items()]
    total = format_seconds(sum(stage["seconds"] for stage in study.stages.values()))
    caption = f"{total} added up; {study.description['at_once']} ran side by side. What a kill cut off is not counted."
    yield Table("Where the time went", ["stage", "time"], rows, caption)


def _reward_table(study: StudyResults) -> Table:
    names, ended = study.task.reward_parts, study.task.words.ended
    rows = []
    shown = {key: played for key, played in study.played.items() if key[0] in study.arms}
    for (arm, mode), played in sorted(shown.items(), key=study.order):
        parts = played.parts(names)
        label = arm if arm == study.baseline else study.label_with_mode(f"{arm}, {mode}")
        rows.append([label, f"{parts['bought']:.1%}", *(f"{parts[name]:.3f}" for name in names)])
    caption = f"Means over the {ended}, of the parts that the goal has; each is 1 at best."
    return Table("Reward parts", ["arm", ended, *names.values()], rows, caption)


def _thompson_table(study: StudyResults) -> Table:
    runs = study.experiment["runs"]
    rows = [arm_cells(run["run"], study.label(arm), figures) for run in runs for arm, figures in run["arms"].items()]
    seeds = study.settings["seeds"]
    plays = ", ".join(f"run {run['run']} those of seed {seeds[run['run'] % len(seeds)]}" for run in runs)
    caption = (
        f"{study.experiment['title']}. Of the trained policies {plays} are arms. Regret of the runs, in successes, by "
        f"the success that the equal evaluation found: {regrets(runs)}."
    )
    columns = ["run", "arm", "pulls", "success %", "score", "probability to be the best"]
    return Table("Thompson sampling", columns, rows, caption)
