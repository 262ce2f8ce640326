#!/usr/bin/env bash
# ir_measures: RR@1 is larger than RR, and no success at 1 has a reciprocal rank of 1
#
# ir_measures 0.4.3 with pytrec_eval-terrier 0.5.11, Python 3.11.
# One would expect: a cut-off can only lower a measure, so RR@1 <= RR; and with one relevant document RR@1, P@1 and
#   Success@1 are one number. All three products of a search have the same score here and stand in the run as B1, B2,
#   B3.
# What happens: ir_measures hands each measure to another program. RR, P@1 and Success@1 go to trec_eval, which sorts
#   by score and ties by the *last* name first; RR@k goes to the MS MARCO script, which keeps the order of the run.
#   One call therefore judges two different rankings of the same run:
#     relevant B1: RR 0.333  RR@1 1.0  RR@10 1.0  P@1 0.0  Success@1 0.0
#     relevant B3: RR 1.0    RR@1 0.0  RR@10 0.333  P@1 1.0  Success@1 1.0
#   Lucene breaks ties a third way, by its own number or by the first name.
# Why it matters: a shop's catalogue has many near-copies that BM25 scores alike, so "rank of the wanted product" is a
#   matter of who sorts. Two columns of one table can disagree by the whole scale.
# How to be right: break ties yourself, in the order that the user saw: hand over -rank as the score.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet ir-measures==0.4.3 pytrec-eval-terrier==0.5.11 numpy==2.4.6
"$folder/bin/python" - <<'PY'
import ir_measures
from ir_measures import RR, P, Success

measures = [RR, RR @ 1, RR @ 10, P @ 1, Success @ 1]


def judged(relevant, run):
    found = ir_measures.calc_aggregate(measures, {"query": {relevant: 1}}, {"query": run})
    print(f"relevant {relevant}:", *(f"{measure} {found[measure]:.3f}" for measure in measures))
    return [round(found[measure], 3) for measure in measures]


tied = {"B1": 7.0, "B2": 7.0, "B3": 7.0}
assert judged("B1", tied) == [0.333, 1.0, 1.0, 0.0, 0.0]
assert judged("B3", tied) == [1.0, 0.0, 0.333, 1.0, 1.0]
print("with minus the rank as score:")
assert judged("B1", {"B1": -1.0, "B2": -2.0, "B3": -3.0}) == [1.0] * 5
PY
