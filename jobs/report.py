"""Write the report of a study that jobs/reproduce.py ran: report.html, report.md, the figures and their points.

python jobs/report.py --study runs/laptop
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from algorithms.experiments.study_report import study_report
from algorithms.experiments.study_results import StudyResults
from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.ranges import COUNT_OR_ZERO
from rl_recsys.console.terminal import say
from rl_recsys.evaluation.report_page import write_report
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.storage.locations import Place, place_of


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
    """Show the world's own words in these: instructions, titles, options. --no-quote leaves them out, for a report that
    goes where a catalogue's texts may not."""


def main(arguments: Arguments) -> None:
    """Read the study, play the examples, write the report."""
    _write(replace(arguments, out=arguments.out or arguments.study))


@writes_to_its_out("report", also=("reproduce",))
def _write(arguments: Arguments) -> None:
    study = StudyResults(arguments.study)
    report = study_report(study, arguments.out / "figures", arguments.sessions, quote=arguments.quote)
    write_report(report, arguments.out)
    for row in report.claims.rows:
        say(" | ".join(row))
    say(f"report: {place_of(arguments.out / 'report.html')}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
