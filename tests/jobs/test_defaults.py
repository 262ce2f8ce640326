"""One default in one place: a job with its default flags trains exactly as the default config of its algorithm does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from algorithms.common.settings import LearningSettings
from algorithms.dpo import DPOConfig, DPOSettings
from algorithms.grpo import GiGPOConfig, GiGPOSettings, GRPOConfig, GRPOSettings
from algorithms.imitation import ImitationConfig, ImitationSettings
from algorithms.ppo import PPOConfig, PPOSettings
from rl_recsys.console.command import read_flags
from rl_recsys.console.ranges import Range
from rl_recsys.storage.locations import absolute
from tests.jobs.test_jobs import job_module

JOBS = {
    "imitate": (ImitationConfig, ImitationSettings),
    "dpo": (DPOConfig, DPOSettings),
    "grpo": (GRPOConfig, GRPOSettings),
    "grpo --algorithm gigpo": (GiGPOConfig, GiGPOSettings),
    "ppo": (PPOConfig, PPOSettings),
}


def job_of(name: str):
    return job_module(name.split()[0])


@pytest.mark.parametrize("name", JOBS)
def test_every_field_of_a_jobs_config_is_that_of_the_default_config(
    name, tmp_path, task, shop_folder, policy_folder, monkeypatch
):
    job, configs, (called, *its) = job_of(name), [], name.split()
    monkeypatch.setattr("algorithms.runs.training_job.run", lambda config, *_: configs.append(config))
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--out", tmp_path, *its]
    recorded = {} if called == "grpo" else {"trajectories": absolute(Path("recorded"))}
    flags += ["--trajectories", "recorded"] if recorded else []
    job.main(read_flags(job.Arguments, "", [str(flag) for flag in flags]))
    policy = absolute(policy_folder)
    config = JOBS[name][0]().training(policy=policy, **recorded)
    if called in ("dpo", "grpo"):
        config.training(task=task.spec)
    if name == "ppo":
        config.environment(env_config={"task": task.spec, "policy": policy, "goals": "train"})
    made, default = configs[0].to_dict(), config.to_dict()
    assert made.keys() == default.keys()
    assert {field: value for field, value in made.items() if value != default[field]} == {}


@pytest.mark.parametrize("name", JOBS)
def test_every_setting_is_a_flag_with_its_default_and_reaches_the_config(name):
    kind, settings = JOBS[name]
    flags = {field.name: field.default for field in fields(job_of(name).Arguments)}
    for field in fields(settings):
        assert flags[field.name] == field.default
        if field.name in {"iterations", "warmup", "final_rate"} | {"rollout_steps"}:
            continue  # of the schedule, and of the batch: other tests have them
        other = _another(field)
        changed = kind().apply_settings(settings(**{field.name: other})).to_dict()
        default = kind().to_dict()
        assert any(repr(changed[each]) != repr(default[each]) for each in default), field.name


def _another(field):
    """A value of a setting that is not its default."""
    texts = {"auto": "float32", "dpo": "ipo", "recorded": "mixed", "decision": "branch", "skip": "resample"}
    if isinstance(field.default, str):
        return texts[field.default]
    if isinstance(field.default, bool):
        return not field.default
    if field.default is None:
        return 7
    return field.default + 1 if isinstance(field.default, int) else 0.25


@pytest.mark.parametrize("name", JOBS)
def test_help_shows_every_setting_with_its_range_default_and_effect(name, capsys):
    job = job_of(name)
    with pytest.raises(SystemExit):
        read_flags(job.Arguments, "", ["--help"])
    words = "".join(capsys.readouterr().out.replace("│", " ").split())
    for field in fields(JOBS[name][1]):
        said = words.split(f"--{field.name.replace('_', '-')}")[1:]
        shown = f"(default:{field.default}"
        assert any(shown in part for part in said), field.name


def test_the_range_of_every_number_is_checked():
    for kind in (LearningSettings, *(settings for _, settings in JOBS.values())):
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
                hint = hints[field.name]
                assert get_origin(hint) is Annotated and any(isinstance(each, Range) for each in get_args(hint)), field
