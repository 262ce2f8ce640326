#!/usr/bin/env bash
# rliable: on one task with three seeds the mean, the median and the interquartile mean are one number
#
# rliable 1.2.0, arch 7.2.0, scipy 1.17.1, numpy 2.3.5, pandas 2.3.3 (it does not import with pandas 3), Python 3.11.
# One would expect: IQM and median are the robust choice: one seed that failed of three, 0.90, 0.88, 0.20, gives 0.88.
# What happens: aggregate_median first averages the runs of each task and takes the median over *tasks*; with one task
#   it is the mean. IQM is scipy's trim_mean(0.25), which cuts int(0.25 * n) values at each end: none of three, one of
#   four to seven, so of seven runs the middle five are kept, not half. Scores (100, 0, 0, ...), one task:
#     runs   IQM      median   mean
#     3      33.33    33.33    33.33
#     4      0.0      25.0     25.0
#     7      0.0      14.29    14.29
#   and for 0.90, 0.88, 0.20 all three are 0.66, with [0.20, 0.90], the range of the data, as 95 % interval.
# Why it matters: three seeds on one benchmark is what agent papers have. "We report IQM as recommended" then says
#   nothing that the mean does not, and four seeds can jump where three did not.
# How to be right: with a single task give every seed; use Student's t (or 10 and more seeds) for the interval.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet rliable==1.2.0 arch==7.2.0 scipy==1.17.1 numpy==2.3.5 pandas==2.3.3
"$folder/bin/python" -W ignore - <<'PY'
import numpy as np
from rliable import library, metrics

for runs, expected in [(3, (33.33, 33.33)), (4, (0.0, 25.0)), (7, (0.0, 14.29))]:
    scores = np.zeros((runs, 1))
    scores[0] = 100
    found = tuple(round(float(of(scores)), 2) for of in (metrics.aggregate_iqm, metrics.aggregate_median))
    print(runs, "runs: IQM and median", found, "mean", round(float(scores.mean()), 2))
    assert found == expected

seeds = np.array([[0.90], [0.88], [0.20]])
point, interval = library.get_interval_estimates(
    {"agent": seeds},
    lambda scores: np.array([metrics.aggregate_iqm(scores), metrics.aggregate_median(scores)]),
    reps=2000,
    random_state=np.random.RandomState(0),
)
print("0.90, 0.88, 0.20:", point["agent"].round(2).tolist(), "interval", interval["agent"][:, 0].round(2).tolist())
assert np.allclose(point["agent"], seeds.mean())
assert np.allclose(interval["agent"][:, 0], [0.20, 0.90])
PY
