#!/usr/bin/env bash
# Ray Tune: Tuner.restore cannot open what tune.run began, but tune.run(resume=...) goes on with what a Tuner began
#
# ray[tune] 2.60.0, Python 3.11.
# One would expect: tune.run and Tuner.fit write the same experiment folder (the same experiment_state file, the same
#   trials), so either can go on with the other's.
# What happens: each way writes experiment_state-*.json. A Tuner writes tuner.pkl beside it, and Tuner.restore reads
#   that file first: of an experiment that tune.run began it raises FileNotFoundError. The other way round it works.
#     begun by    gone on with by         trials after it
#     Tuner.fit   tune.run(resume=True)   2 of 2 done
#     tune.run    Tuner.restore           FileNotFoundError: ... tuner.pkl
# Why it matters: a search of days that was begun in the old way cannot be moved to the recommended one. Scripts that let
#   their users choose the way, as many do, must keep the choice with the experiment.
# How to be right: go on in the way that began, or with tune.run; look for tuner.pkl before Tuner.restore is called
#   (Tuner.can_restore does).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --retries 0 "ray[tune]==2.60.0"
cd "$folder"
RAY_AIR_NEW_OUTPUT=0 "$folder/bin/python" -W ignore - 2> /dev/null <<'PY'
import os

import ray
from ray import tune


def train(config):
    tune.report({"score": config["x"]})


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
space = {"x": tune.grid_search([1, 2])}
root = os.getcwd()

tune.run(train, config=space, name="by-run", storage_path=root, verbose=0)
tune.Tuner(train, param_space=space, run_config=tune.RunConfig(name="by-tuner", storage_path=root, verbose=0)).fit()
for name in ("by-run", "by-tuner"):
    files = sorted({each.split("-")[0].split("_")[0] for each in os.listdir(name) if not os.path.isdir(f"{name}/{each}")})
    print(f"{name}:", ", ".join(files), "| can_restore:", tune.Tuner.can_restore(f"{root}/{name}"))

done = tune.run(train, config=space, name="by-tuner", storage_path=root, resume=True, verbose=0)
print("tune.run goes on with the Tuner's:", len(done.trials), "trials")
assert len(done.trials) == 2
try:
    tune.Tuner.restore(f"{root}/by-run", train)
except FileNotFoundError as error:
    print("Tuner.restore of tune.run's: FileNotFoundError,", "tuner.pkl" in str(error))
    assert "tuner.pkl" in str(error)
else:
    raise SystemExit("Tuner.restore opened it: this has changed")
assert not tune.Tuner.can_restore(f"{root}/by-run") and tune.Tuner.can_restore(f"{root}/by-tuner")
PY
