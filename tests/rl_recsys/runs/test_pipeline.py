from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from rl_recsys.errors import UserError
from rl_recsys.runs import provenance
from rl_recsys.runs.pipeline import Stage, read_done, run_stages
from rl_recsys.runs.processes import ending_with_parent, on_one_core
from rl_recsys.runs.settings import mark_own
from rl_recsys.storage.locks import held, lock_in


def stage(name: str, code: str, *needs: str, **options) -> Stage:
    return Stage(name, ("-c", textwrap.dedent(code)), needs, **options)


def append(path, word: str) -> str:
    return f"open({str(path)!r}, 'a').write({word!r} + '\\n')"


def test_stages_wait_for_what_they_need_and_are_run_once(tmp_path):
    log = tmp_path / "order"
    stages = [
        stage("last", append(log, "last"), "left", "right"),
        stage("left", append(log, "left"), "first"),
        stage("right", append(log, "right"), "first"),
        stage("first", append(log, "first")),
    ]
    took = run_stages(stages, tmp_path / "study", at_once=2)
    words = log.read_text().split()
    assert words[0] == "first" and set(words[1:3]) == {"left", "right"} and words[3] == "last"
    assert set(took) == {"first", "left", "right", "last"}
    run_stages(stages, tmp_path / "study", at_once=2)
    assert log.read_text().split() == words
    stages[1] = stage("left", append(log, "changed"), "first")
    run_stages(stages, tmp_path / "study", at_once=2)
    assert log.read_text().split() == [*words, "changed", "last"]


def test_a_finished_stage_is_not_run_again_with_other_workers_or_from_another_copy_of_the_scripts(tmp_path):
    def made(folder: str, workers: str, seed: str) -> Stage:
        (tmp_path / folder).mkdir(exist_ok=True)
        script = tmp_path / folder / "job.py"
        script.write_text(append(tmp_path / "log", folder))
        return Stage("one", (str(script), "--seed", seed, "--num-workers", workers))

    for folder, workers, seed, runs in (("a", "2", "0", 1), ("b", "4", "0", 1), ("b", "4", "1", 2)):
        run_stages([made(folder, workers, seed)], tmp_path / "study", at_once=1)
        assert len((tmp_path / "log").read_text().split()) == runs


def test_at_most_so_many_run_side_by_side_and_share_the_cores(tmp_path):
    code = f"""
        import os, time, pathlib
        here = pathlib.Path({str(tmp_path)!r})
        (here / f"running-{{os.getpid()}}").touch()
        beside = len(list(here.glob("running-*")))
        with open(here / "seen", "a") as file:
            file.write(f"{{beside}} {{os.environ['OMP_NUM_THREADS']}}\\n")
        time.sleep(1.2)
        (here / f"running-{{os.getpid()}}").unlink()
    """
    run_stages([stage(f"s{n}", code) for n in range(4)], tmp_path / "study", at_once=2, cores=8)
    seen = [tuple(map(int, line.split())) for line in (tmp_path / "seen").read_text().splitlines()]
    assert max(beside for beside, _ in seen) == 2 and {threads for _, threads in seen} == {4}


def test_a_stage_that_fails_stops_the_others_and_shows_the_end_of_its_log(tmp_path):
    sleeper = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    stages = [
        stage("sleeps", sleeper),
        stage("fails", "import time; time.sleep(1); print('before'); raise SystemExit('error: the shop burnt down')"),
        stage("never", append(tmp_path / "never", "x"), "fails"),
    ]
    with pytest.raises(UserError, match=r"stage fails failed \(exit status 1\)(.|\n)*before\n  error: the shop burnt"):
        run_stages(stages, tmp_path / "study", at_once=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not (tmp_path / "never").exists()


def test_a_study_that_is_killed_takes_its_stages_along_and_goes_on(tmp_path):
    log, pid = tmp_path / "log", tmp_path / "pid"
    sleeper = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    first = f"Stage('first', ('-c', {append(log, 'first')!r}))"
    driver = (
        "from pathlib import Path; from rl_recsys.runs.pipeline import Stage, run_stages\n"
        f"run_stages([{first}, Stage('sleeps', ('-c', {sleeper!r}), ('first',))], Path({str(tmp_path)!r}), at_once=1)"
    )
    study = subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not pid.is_file() or not pid.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    study.send_signal(signal.SIGKILL)
    study.wait()
    while os.path.exists(f"/proc/{pid.read_text()}") and "zombie" not in _state(pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert list(json.loads((tmp_path / "stages.json").read_text())) == ["first"]
    run_stages([stage("first", append(log, "first"))], tmp_path, at_once=1)
    assert log.read_text().split() == ["first"]


def test_places_may_be_spelled_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.py").write_text("import sys; open('log', 'a').write(' '.join(sys.argv[1:]) + chr(10))")

    def lines(*flags: str) -> int:
        run_stages([Stage("one", ("job.py", *flags))], tmp_path / "study", at_once=1)
        return len((tmp_path / "log").read_text().splitlines())

    assert lines("--shop", "shops/a", "--policies", "dpo=runs/dpo") == 1
    assert lines("--shop", f"{tmp_path}/shops/a", "--policies", f"dpo={tmp_path}/runs/dpo") == 1
    assert lines("--shop", "./shops/../shops/a", "--policies", "dpo=runs/dpo") == 1
    assert lines("--shop", "shops/b", "--policies", "dpo=runs/dpo") == 2
    assert lines("--shop", "shops/b", "--policies", "ppo=runs/dpo") == 3
    assert lines("--shop", "s3://b/key=a/shop", "--policies", "ppo=runs/dpo") == 4
    written = json.loads((tmp_path / "study" / "stages.json").read_text())["one"]["places"]
    assert written == ["job.py", "--shop", "s3://b/key=a/shop", "--policies", f"ppo={tmp_path}/runs/dpo"]


def test_each_stage_keeps_what_made_it(tmp_path, monkeypatch):
    def makers() -> dict[str, list]:
        return {name: row["made_with"] for name, row in read_done(tmp_path / "stages.json").items()}

    log, now = tmp_path / "log", provenance.maker()
    run_stages([stage("first", append(log, "first"))], tmp_path, at_once=1)
    assert makers() == {"first": [now]}
    later = now | {"commit": "a later one"}
    monkeypatch.setattr(provenance, "_maker", lambda: later)
    more = [append(log, "second"), append(log, "third")]
    stages = [stage("first", append(log, "first")), stage("second", more[0]), stage("third", more[1], "second")]
    run_stages(stages, tmp_path, at_once=1)
    assert makers() == {"first": [now], "second": [later], "third": [later]}
    assert provenance.made_by(makers()).startswith("A MIXTURE. first: ")
    run_stages([stage("first", append(log, "again")), *stages[1:]], tmp_path, at_once=1)
    assert makers()["first"] == [later]
    rows = read_done(tmp_path / "stages.json")
    del rows["first"]["made_with"]  # of an earlier version
    (tmp_path / "stages.json").write_text(json.dumps(rows))
    run_stages([stage("first", append(log, "again")), *stages[1:], stage("fourth", more[0])], tmp_path, at_once=1)
    assert makers() == {"first": [], "second": [later], "third": [later], "fourth": [later]}


def _state(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/status") as file:
            return file.read()
    except OSError:
        return "zombie"


def test_progress_of_a_stage_is_its_last_iteration(tmp_path):
    rows = tmp_path / "result.json"
    one = stage("one", "", rows=rows, iterations=8)
    assert one.share == 0.0
    rows.write_text('{"iteration": 1}\n{"iteration": 2}\n{"iter')
    assert one.share == 0.25


@pytest.mark.parametrize("text", ["", "{", "[]", '{"one": 1}', '{"one": {"command": [], "seconds": 1}}',
     '{"one": {"command": ["a"], "seconds": 1, "made_with": [{"packages": 1}]}}'],
)  # fmt: skip
def test_a_damaged_list_of_stages_is_one_line_and_nothing_is_run(tmp_path, text):
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(
        UserError, match=r"stages\.json(, stage .one.)?: damaged .*; move it away to run all stages again"
    ) as error:
        run_stages([stage("one", append(tmp_path / "log", "one"))], tmp_path, at_once=1)
    assert "\n" not in str(error.value) and not (tmp_path / "log").exists()


def test_a_stage_writes_into_the_folder_that_the_study_holds(tmp_path):
    code = f"""
        from pathlib import Path
        from rl_recsys.runs.outputs import writes_to_its_out
        from dataclasses import dataclass
        @dataclass
        class Arguments:
            out: str
        @writes_to_its_out("report", also=("reproduce",))
        def main(arguments):
            (arguments.out / "report.html").write_text("")
        main(Arguments({str(tmp_path)!r}))
    """
    mark_own(tmp_path, "reproduce")
    with held(lock_in(tmp_path), str(tmp_path)):
        run_stages([stage("report", code)], tmp_path, at_once=1)
    assert (tmp_path / "report.html").is_file()


def test_a_command_becomes_itself_once_it_is_tied_to_its_parent_or_to_a_core():
    """B24: nothing of Python runs between fork and exec, where a lock of another thread would stay locked."""
    run = subprocess.run(ending_with_parent(["sh", "-c", "echo $0 $1", "a b", "c"]), capture_output=True, check=True)
    assert run.stdout == b"a b c\n"
    orphan = ending_with_parent(["sh", "-c", "echo never"])
    orphan[5] = "1"  # whoever started it is gone already
    assert subprocess.run(orphan, capture_output=True, check=False).stdout == b""
    only = subprocess.run(on_one_core(["nproc"]), capture_output=True, check=True)
    assert only.stdout == b"1\n"


def test_stages_that_need_what_there_is_not_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"need what there is not: \['one'\]"):
        run_stages([stage("one", "", "two")], tmp_path, at_once=1)
