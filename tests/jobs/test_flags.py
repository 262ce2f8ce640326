"""What jobs do with their flags before anything else: --help, and what is refused."""

from __future__ import annotations

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
