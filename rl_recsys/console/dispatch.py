"""``rl-recsys NAME ...``: the jobs as one command, from any folder. ``python jobs/NAME.py ...`` does the same."""

from __future__ import annotations

import ast
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError, plain_errors

PROGRAM = "rl-recsys"
_PACKAGE = Path(__file__).parents[1]
#: An installed package holds the jobs; in a checkout they lie beside it.
JOBS = next((folder for folder in (_PACKAGE / "jobs", _PACKAGE.parent / "jobs") if folder.is_dir()), _PACKAGE / "jobs")


def main() -> None:
    """Run the job that the command line names, or list the jobs."""
    with plain_errors():
        jobs = {path.stem: path for path in sorted(JOBS.glob("*.py")) if path.stem != "__init__"}
        name = sys.argv[1] if len(sys.argv) > 1 else "--help"
        if name in ("-h", "--help"):
            _list(jobs)
        elif name in jobs:
            _run(jobs[name])
        else:
            alike = get_close_matches(name, jobs, n=1)
            guess = f"did you mean {alike[0]}? " if alike else ""
            raise UserError(f"there is no job {name!r}: {guess}{PROGRAM} --help lists them")


def _list(jobs: dict[str, Path]) -> None:
    """The jobs and the first line of each one's docstring. They are read, not imported: some need torch or Ray."""
    say(f"usage: {PROGRAM} JOB [flags]")
    say(f"{PROGRAM} JOB --help lists a job's flags. What messages and docs call jobs/JOB.py is the same job.")
    width = max(map(len, jobs), default=0)
    for name, path in jobs.items():
        text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
        say(f"  {name:{width}}  {text.partition(chr(10))[0]}")


def _run(job: Path) -> None:
    """Run a job's file as its script runs, as ``__main__``, which pickles of its classes and new processes look for."""
    module = ModuleType("__main__")
    module.__file__ = str(job)
    sys.modules["__main__"] = module
    try:
        exec(compile(job.read_bytes(), job, "exec"), vars(module))
    except ModuleNotFoundError as error:
        raise UserError(
            f"{job.stem} needs {error.name}, which is not installed: pip install 'rl-recsys[train]'"
        ) from None
