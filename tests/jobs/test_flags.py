"""What jobs do with their flags before anything else: --help, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.jobs.test_jobs import JOBS, ROOT

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
    "dpo": "--shop a --policy b --out c",
    "evaluate": "--shop a --out b",
    "generate": "--shop a --policy b --out c",
    "imitate": "--shop a --trajectories b --out c",
    "import_trajectories": "a --out b",
    "ppo": "--shop a --policy b --out c",
    "prepare": "--items a --attributes b --goals synthetic --out c",
    "recommend": "--shop a --policy b --requests c",
    "report": "--study a",
    "reproduce": "--out a --shop b",
    "thompson": "--shop a --policies b=c d=e --out f",
    "train_queries": "--pairs a --out b",
    "trajectories": "a",
    "tune": "--algorithm ppo --shop a --policy b --out c",
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
