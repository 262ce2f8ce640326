#!/usr/bin/env bash
# ir_measures: two nDCGs in one call, and which values come out is drawn anew in each process
#
# ir_measures 0.4.3 with pytrec_eval-terrier 0.5.11, Python 3.11.
# One would expect: an evaluation of fixed lists is a calculation, the same in each run. nDCG alone is 0.8175, nDCG
#   with the gains 1, 3, 7 for the grades 1, 2, 3 alone is 0.7364, and one call for both gives both.
# What happens: the measures go through a Python set, whose order depends on the process's hash seed. If the one with
#   gains is met first, plain nDCG is given its value and it becomes 0. Nothing is raised or logged:
#     PYTHONHASHSEED 0: nDCG 0.8175  nDCG(gains) 0.7364
#     PYTHONHASHSEED 1: nDCG 0.7364  nDCG(gains) 0.0
#   Of the seeds 0 to 7 four give the one, four the other; the order of the list that is passed makes no difference.
# Why it matters: graded relevance (right product, right type, wrong size) is often shown with linear and with
#   exponential gains side by side. Half of the runs then publish a wrong number, and a second look "cannot reproduce"
#   it.
# How to be right: one call for each set of gains, or grades that already are the gains.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet ir-measures==0.4.3 pytrec-eval-terrier==0.5.11 numpy==2.4.6
cat > "$folder/both.py" <<'PY'
import ir_measures
from ir_measures import nDCG

grades = {"query": {"exact": 3, "other size": 2, "other brand": 1}}
run = {"query": {"other brand": 3.0, "exact": 2.0, "other size": 1.0}}
gains = nDCG(gains={1: 1, 2: 3, 3: 7})
assert round(ir_measures.calc_aggregate([nDCG], grades, run)[nDCG], 4) == 0.8175
assert round(ir_measures.calc_aggregate([gains], grades, run)[gains], 4) == 0.7364
found = ir_measures.calc_aggregate([nDCG, gains], grades, run)
print(f"nDCG {found[nDCG]:.4f}  nDCG(gains) {found[gains]:.4f}")
PY
for seed in 0 1 2 3 4 5 6 7; do
  PYTHONHASHSEED=$seed "$folder/bin/python" "$folder/both.py"
done | sort | uniq -c | tee "$folder/found"
[ "$(tr -s ' ' < "$folder/found")" = " 4 nDCG 0.7364 nDCG(gains) 0.0000
 4 nDCG 0.8175 nDCG(gains) 0.7364" ]
