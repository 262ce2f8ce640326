"""A study's report: its summary, tables, pictures, example sessions and facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from algorithms.dpo.settings import DPOSettings
from algorithms.experiments.study_pictures import pictures
from algorithms.experiments.study_results import SOURCE_WORDS, StudyResults, training_of_policy
from algorithms.experiments.study_tables import arm_table, claim_table, other_tables
from rl_recsys.console.progress import format_seconds
from rl_recsys.core.outcome import is_success
from rl_recsys.core.play import scripted_episode
from rl_recsys.evaluation.claims import FAILS, HOLDS, OPEN
from rl_recsys.evaluation.episodes_page import Episode
from rl_recsys.evaluation.report_page import Report
from rl_recsys.runs.provenance import MADE_WITH, made_by, maker

OF_A_FOLDER = ("shop", "task", "out", "shop_fingerprint", "seed")  # settings that differ from run to run


def study_report(study: StudyResults, figures: Path, shown_sessions: int, *, quote: bool) -> Report:
    """Everything the page shows; its pictures are drawn into the folder ``figures``.

    ``shown_sessions``: episodes to show of those that succeeded, and as many others. ``quote``: with the task's words.
    """
    figures.mkdir(parents=True, exist_ok=True)
    measured_on = study.evaluation["title"]
    seeds = len(study.settings["seeds"])
    words, loss, baseline = study.task.words, study.settings.get("loss", DPOSettings.loss), study.baseline_result
    best, episodes = _episodes(study, shown_sessions)
    summary = [
        f"{words.agents.capitalize()} on {study.world}: {measured_on.partition(' of ')[0]}, {seeds} "
        f"training{'s' if seeds > 1 else ''} of each arm, the paper's study (Feng & Feng 2024) with every arm "
        "measured on the same goals.",
        f"The demonstrations are {study.source}"
        + (". " if "human" in study.demonstrated else ": no person made them. ")
        + "PPO and DPO start from the imitation policy of their seed and get "
        f"{study.settings['updates']:,} updates of {study.settings['batch']} pairs or decisions; what goes on from "
        "the DPO policy gets as many again, on generated trajectories or, to compare, on the demonstrations."
        + (f" DPO's loss is {loss}." if loss != DPOSettings.loss else "")
        + (f" The {baseline.arm} baseline succeeds on {baseline.success:.1%}." if baseline else ""),
        "A success is a reward of exactly 1; score is 100 x the mean reward. Intervals are 95 %: bootstrapped over "
        f"seeds and {words.cluster}s (goals about one {words.cluster} succeed or fail together), with several seeds "
        "at least Student's t over them, with one at least Wilson's for a success rate.",
        *filter(None, [" ".join(study.left_out)]),
    ]
    return Report(
        title="DPO, PPO and generated trajectories: the study repeated",
        summary=summary,
        arms=arm_table(study),
        claims=claim_table(study),
        verdicts=(HOLDS, FAILS, OPEN),
        pictures=list(pictures(study, figures)),
        tables=list(other_tables(study)),
        sessions=[study.task.example(one.trajectory, quote=quote) for one in episodes],
        sessions_of=f"{study.label(best)}, taking its best action; evenly chosen from its wins and its losses."
        + ("" if quote else f" {words.unquoted}"),
        facts=_facts(study),
        episodes=[*episodes, *_beside(study, episodes)] if quote else (),
        task=study.task.name,
    )


def _episodes(study: StudyResults, shown: int) -> tuple[str, list[Episode]]:
    """The arm that succeeds most often greedily, and wins and losses of its first seed, with its probabilities."""
    from policies.base import load_policy
    from policies.play import policy_trajectories
    from policies.watched import with_probabilities

    arms = study.runs
    best = max(arms, key=lambda arm: float(study.played[arm, "greedy"].values("success")[0].mean()))
    played = study.played[best, "greedy"]
    won = [goal for goal, reward in zip(played.goals, played.rewards[0], strict=True) if is_success(reward)]
    lost = [goal for goal, reward in zip(played.goals, played.rewards[0], strict=True) if not is_success(reward)]
    more_won, more_lost = max(0, shown - len(lost)), max(0, shown - len(won))  # where there are few of the other
    goals = [*_spread(won, shown + more_won), *_spread(lost, shown + more_lost)]
    policy = load_policy(Path(study.runs[best][0]) / "policy")
    episodes = policy_trajectories(policy, study.task, goals, author=best, greedy=True)
    return best, [with_probabilities(Episode(best, episode), policy, best) for episode in episodes]


def _beside(study: StudyResults, episodes: Sequence[Episode]) -> list[Episode]:
    """What the task's first baseline, if it has one, does with the same goals, to be watched beside them."""
    goals = [one.trajectory.goal_index for one in episodes]
    return [
        Episode(name, scripted_episode(study.task, goal, agent, author=name))
        for name, agent in list(study.task.baselines.items())[:1]
        for goal in goals
    ]


def _facts(study: StudyResults) -> dict[str, str]:
    folders = [Path(run) for runs in study.runs.values() for run in runs[:1]]
    facts = {name.replace("_", " "): _shown(value) for name, value in study.settings.items() if value not in (None, "")}
    counts = ", ".join(f"{count:,} {SOURCE_WORDS[source]}" for source, count in study.demonstrated.items())
    facts["demonstrations learnt from"] = f"{counts}, those with a reward of 1 in {study.description['recorded']}"
    facts[f"{study.task.words.world} fingerprint"] = study.evaluation["shop"]
    for folder in folders:
        training = training_of_policy(folder / "policy")
        settings = {name: value for name, value in training["settings"].items() if name not in OF_A_FOLDER}
        shares = ", ".join(f"{name} {share:.0%}" for name, share in training["shares_of_time"].items())
        settings["precision"] = training["precision"]  # as it was, where the setting is "auto"
        facts[f"{folder.name}: settings"] = "; ".join(f"{name} {_shown(value)}" for name, value in settings.items())
        facts[f"{folder.name}: time"] = f"{format_seconds(training['training_seconds'])}: {shares}"
    facts["made with"] = made_by({name: stage.get(MADE_WITH, []) for name, stage in study.stages.items()})
    facts["this report with"] = made_by({"report": [maker()]})
    return facts


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the items, spread evenly."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
