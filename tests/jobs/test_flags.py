"""What jobs do with their flags before anything else: --help, and what is refused."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from rl_recsys.console.command import read_flags
from rl_recsys.console.ranges import Range, RangeError
from rl_recsys.errors import UserError
from tests.jobs.test_jobs import JOBS, ROOT, job_module

HEAVY = {"torch", "ray", "jnius", "spacy", "transformers", "tensorboard", "tensorboardX", "matplotlib", "scipy.stats"}
HELP_OF_ALL = """
import contextlib, io, runpy, sys
for job in sys.argv[1:]:
    sys.argv, printed = [job, "--help"], io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        runpy.run_path(job, run_name="__main__")
    assert "usage" in printed.getvalue(), job
print(*sys.modules)
"""


def test_help_needs_neither_torch_nor_ray_nor_java():
    jobs = [str(ROOT / "jobs" / f"{name}.py") for name in JOBS]
    done = subprocess.run([sys.executable, "-c", HELP_OF_ALL, *jobs], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not HEAVY.intersection(done.stdout.split())


#: What each job must be told, of places where nothing is.
LEAST = {
    "add_queries": "--shop a --model b --out c",
    "benchmark": "shop --shop a",
    "demonstrate": "--shop a --out b",
    "dpo": "--shop a --policy b --trajectories c --out d",
    "evaluate": "--shop a --out b",
    "evaluate_agent": "--shop a --policy b --name c --out d",
    "generate": "--shop a --policy b --out c",
    "grpo": "--shop a --policy b --out c",
    "imitate": "--shop a --trajectories b --out c",
    "import_trajectories": "a --out b",
    "leaderboard": "a --out b",
    "ppo": "--shop a --policy b --out c",
    "prepare": "--items a --attributes b --goals synthetic --out c",
    "prepare_virtual_taobao": "a --out b",
    "recommend": "--shop a --policy b --requests c",
    "report": "--study a",
    "site": "--shop a --record b",
    "reproduce": "--out a --shop b",
    "serve_environment": "--shop a",
    "serve_recommender": "--shop a --policy b",
    "thompson": "--shop a --policies b=c d=e --out f",
    "train_queries": "--pairs a --out b",
    "trajectories": "a",
    "tune": "--algorithm ppo --shop a --policy b --out c",
    "watch": "a --out b",
}
FIRST_LINES = """
import contextlib, io, runpy, sys
class FirstLine(io.TextIOBase):
    def write(self, text):
        raise SystemExit(text)
said = []
for command in sys.argv[1:]:
    sys.argv = command.split()
    try:
        with contextlib.redirect_stdout(FirstLine()):
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        said.append(end.code)
print(said)
print(*sys.modules)
"""


def test_every_job_says_that_it_has_begun_before_torch_ray_or_java_is_loaded(tmp_path):
    commands = [f"{ROOT / 'jobs' / name}.py {LEAST[name]}" for name in JOBS]
    done = subprocess.run(
        [sys.executable, "-c", FIRST_LINES, *commands], capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, modules = done.stdout.splitlines()
    assert said == str([f"{name}: begun" for name in JOBS]), done.stderr
    assert not HEAVY.intersection(modules.split()) and not list(tmp_path.iterdir())


def flags_of(name: str) -> list[type]:
    """The dataclasses of a job's flags."""
    module = job_module(name)
    return list(getattr(module, "KINDS", {"": module.Arguments}).values())


FLAGS = [(name, flags) for name in JOBS for flags in flags_of(name)]


def with_something_required(flags: type, **given):
    """Flags of a job, with any value where there is no default."""
    required = (field.name for field in fields(flags) if field.default is MISSING and field.default_factory is MISSING)
    return flags(**{name: ("x",) for name in required} | given)


def numbers_of(flags: type) -> dict[str, Range | None]:
    """The range of each field that is a number, or has several."""
    found = {}
    for name, hint in get_type_hints(flags, include_extras=True).items():
        kind, *more = get_args(hint) if get_origin(hint) is Annotated else [hint]
        inner = {kind, *get_args(kind), *(one for part in get_args(kind) for one in get_args(part))}
        if inner & {int, float}:
            found[name] = next((one for one in more if isinstance(one, Range)), None)
    return found


@pytest.mark.parametrize(("name", "flags"), FLAGS)
def test_every_number_has_a_range_that_is_checked_and_shown(name, flags, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        read_flags(flags, "", ["--help"])
    shown = " ".join(capsys.readouterr().out.partition(" options ")[2].replace("│", " ").split())
    for field, allowed in numbers_of(flags).items():
        assert allowed is not None, f"{name}: {field}"
        flag = f"--{field.replace('_', '-')}"
        assert re.search(rf"{flag} \S+ .*?\((default: [^)]*|required); {allowed}\)", shown), f"{name}: {flag}"
        for value in (math.nan, math.inf, -math.inf, -1, 2**70, 0):
            if value not in allowed:
                several = isinstance(getattr(flags, field, None), tuple)
                with pytest.raises(RangeError, match=f"^{flag} is {re.escape(str(value))}, it must be {allowed}"):
                    with_something_required(flags, **{field: (value,) if several else value}).validate()


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("ppo", "--rollout-steps 16", "--batch is 32, it must be at most --rollout-steps, 16"),
        ("ppo", "--rollout-steps 60 --num-learners 2", "--batch is 32, it must be .* 30 of each of 2 learners"),
        ("ppo", "--imitation-weight 1", "--imitation-weight needs demonstrations: .* --trajectories"),
        ("tune", "--algorithm ppo --iterations 1", "--grace-period is 2, it must be at most --iterations, 1"),
        ("tune", "--algorithm ppo --rollout-steps 16", "--batch is 32, it must be at most --rollout-steps, 16"),
        ("grpo", "--step-weight 2", "--step-weight is a setting of --algorithm gigpo: leave it out"),
        ("grpo", "--discount 0.9", "--discount is a setting of --algorithm gigpo: leave it out"),
        ("dpo", "", "--preferences recorded needs recorded episodes"),
        ("tune", "--algorithm dpo", "name their folder with --trajectories"),
        ("demonstrate", "--trajectories 0", "both 0"),
        ("recommend", "--goals 1 --requests x", "without --requests"),
        ("prepare", "--items x.json --out x", "--items needs --attributes"),
        ("prepare", "", "--out names the folder to write"),
        ("reproduce", "--seeds", "--seeds: name one at least"),
        ("imitate", "--policy x --state-tokens 99", "--state-tokens is a fresh policy's: --policy has its own"),
    ],
)
def test_flags_that_do_not_go_together_are_refused_before_anything_is_loaded(name, words, message):
    module = job_module(name)
    required = {"shop", "out", "policy", "trajectories"} & {
        field.name for field in fields(module.Arguments) if field.default is MISSING
    }
    required |= {"shop"} & {field.name for field in fields(module.Arguments)}
    given = [word for flag in sorted(required) for word in (f"--{flag}", "x") if f"--{flag} " not in f"{words} "]
    with pytest.raises(UserError, match=message):
        read_flags(module.Arguments, "", [*given, *words.split()])
