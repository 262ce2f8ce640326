"""A study as stages: commands that need each other's results, run side by side, gone on with after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rl_recsys.console.progress import Task, format_seconds, progress
from rl_recsys.errors import UserError
from rl_recsys.runs.processes import ending_with_parent
from rl_recsys.runs.provenance import MADE_WITH, are_makers, maker
from rl_recsys.storage.files import read_object, require_fields, write_json
from rl_recsys.storage.locations import absolute, is_uri
from rl_recsys.storage.locks import HELD_BY_PARENT

DONE, LOGS = "stages.json", "logs"
INCIDENTAL = ("--num-workers", "--num-gpus")  # where and how fast a finished stage was made
POLL_S = 0.2
STOP_PATIENCE_S = 20.0
SHOWN_LINES = 15  # of the log of a stage that failed


@dataclass(frozen=True)
class Stage:
    """One command: what python runs, the names of the stages it needs, and the minutes it is expected to take.

    ``rows``: a result.json whose last "iteration", of about ``iterations``, says how far it is.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    minutes: float = 1.0
    rows: Path | None = None
    iterations: int = 1

    @property
    def share(self) -> float:
        """How much of it is done, in [0, 1], while it runs."""
        if self.rows is None or not self.rows.is_file():
            return 0.0
        last = 0
        for line in self.rows.read_bytes().splitlines()[-3:]:
            with suppress(ValueError, KeyError, TypeError):
                last = json.loads(line)["iteration"]
        return min(1.0, last / self.iterations) if isinstance(last, int) else 0.0


def run_stages(stages: Sequence[Stage], folder: Path, *, at_once: int, cores: int | None = None) -> dict[str, float]:
    """Run what is not done yet, at most ``at_once`` at a time; returns the seconds that each stage took.

    Every stage's output is in logs/NAME.log. Those that run side by side share the ``cores``. Where one fails the
    others are stopped (they go on when the study is started again) and ``UserError`` shows the end of its log.
    """
    cores = cores or os.cpu_count() or 1
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    done = _done(folder, stages)
    kept = set(done)
    running: dict[str, _Running] = {}
    with progress("study, in expected minutes", round(sum(stage.minutes for stage in stages))) as task:
        task.resume(round(sum(stage.minutes for stage in stages if stage.name in done)))
        try:
            while len(done) < len(stages):
                ready = [
                    stage for stage in stages
                    if stage.name not in done and stage.name not in running and done.keys() >= set(stage.needs)
                ]  # fmt: skip
                if not ready and not running:
                    raise ValueError(f"stages need what there is not: {[s.name for s in stages if s.name not in done]}")
                side_by_side = min(at_once, len(running) + len(ready))
                for stage in ready[: at_once - len(running)]:
                    running[stage.name] = _Running(stage, folder, max(1, cores // side_by_side))
                time.sleep(POLL_S)
                for one in list(running.values()):
                    if one.process.poll() is not None:
                        del running[one.stage.name]
                        done[one.stage.name] = one.end()
                        _write(folder, stages, done, kept)
                        kept = set(done)
                _show(task, stages, done, running)
        finally:
            _stop(running)
    return done


class _Running:
    def __init__(self, stage: Stage, folder: Path, threads: int):
        self.stage, self.log, self.start = stage, folder / LOGS / f"{stage.name}.log", time.monotonic()
        self._file = open(self.log, "a", encoding="utf-8")  # noqa: SIM115  closed when the stage ends
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
            HELD_BY_PARENT: os.path.realpath(folder),
        }
        self.process = subprocess.Popen(
            # It must not go on beside the one that the same command, given again, starts.
            ending_with_parent([sys.executable, *stage.command]),
            stdout=self._file, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip

    def end(self) -> float:
        """Its seconds. Raises ``UserError`` where it failed."""
        self._file.close()
        if self.process.returncode:
            lines = self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
            raise UserError(
                f"stage {self.stage.name} failed (exit status {self.process.returncode}); the end of {self.log}:\n"
                + "\n".join(f"  {line}" for line in lines)
            )
        return time.monotonic() - self.start


def _stop(running: Mapping[str, _Running]) -> None:
    for one in running.values():
        one.process.terminate()
    deadline = time.monotonic() + STOP_PATIENCE_S
    for one in running.values():
        try:
            one.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def _done(folder: Path, stages: Sequence[Stage]) -> dict[str, float]:
    """Seconds of the stages that were run before, with the same command and on what the same commands made."""
    path = folder / DONE
    found = read_done(path) if path.is_file() else {}
    same = {stage.name for stage in stages if stage.name in found and _same(found[stage.name], stage)}
    while stale := {stage.name for stage in stages if stage.name in same and not same.issuperset(stage.needs)}:
        same -= stale
    return {stage.name: found[stage.name]["seconds"] for stage in stages if stage.name in same}


def read_done(path: Path) -> dict[str, dict]:
    """Name -> command and seconds of each stage that was run. Raises ``UserError`` where the file is damaged."""
    remedy = "move it away to run all stages again: those that keep checkpoints or results go on from these"
    found = read_object(path, remedy)
    for name, row in found.items():
        require_fields(row, {"command": list, "seconds": float}, f"{path}, stage {name!r}", remedy)
        if not row["command"] or not all(isinstance(word, str) for word in row["command"]):
            raise UserError(f"{path}, stage {name!r}: damaged (its command is none); {remedy}")
        if not are_makers(row.get(MADE_WITH, [])):
            raise UserError(f"{path}, stage {name!r}: damaged (its {MADE_WITH} is none); {remedy}")
    return found


def _same(row: Mapping, stage: Stage) -> bool:
    """Whether a finished stage's command is the stage's: as it was given, so that a study may be moved with all that
    it needs, or with its places spelled out, so that they may be given otherwise."""
    before, now = _deciding(row["command"]), _deciding(stage.command)
    return before == now or row.get("places") == _spelled_out(now)


def _spelled_out(flags: Sequence[str]) -> list[str]:
    """Flags with each relative place that has a "/", also as NAME=PLACE, made absolute."""
    found = []
    for flag in flags:
        name, equals, place = ("", "", flag) if is_uri(flag) or "=" not in flag else flag.partition("=")
        found.append(f"{name}{equals}{absolute(place)}" if os.sep in place else flag)
    return found


def _deciding(command: Sequence[str]) -> list[str]:
    """What of a command decides what it makes: not where its script lies, which is another place in every Ray job."""
    script, *flags = command
    kept = [Path(script).name]
    for before, flag in zip(["", *flags], flags, strict=False):
        if flag not in INCIDENTAL and before not in INCIDENTAL:
            kept.append(flag)
    return kept


def _write(folder: Path, stages: Sequence[Stage], done: Mapping[str, float], kept: Collection[str]) -> None:
    """``kept``: the stages that were not run again since the file was written."""
    before = read_done(folder / DONE) if (folder / DONE).is_file() else {}
    rows = {
        stage.name: {
            "command": list(stage.command),
            "places": _spelled_out(_deciding(stage.command)),
            "seconds": round(done[stage.name], 1),
            MADE_WITH: before[stage.name].get(MADE_WITH, []) if stage.name in kept else [maker()],
        }
        for stage in stages
        if stage.name in done
    }
    write_json(folder / DONE, rows)


def _show(task: Task, stages: Sequence[Stage], done: Mapping[str, float], running: Mapping[str, _Running]) -> None:
    reached = sum(stage.minutes for stage in stages if stage.name in done)
    reached += sum(one.stage.minutes * one.stage.share for one in running.values())
    now = ", ".join(
        f"{name} {one.stage.share:.0%}" if one.stage.rows else f"{name} {format_seconds(time.monotonic() - one.start)}"
        for name, one in running.items()
    )
    task.update(round(reached), f"{len(done)} of {len(stages)} stages done; {now}")
