"""What is known of an experiment's arms from an evaluation: the means that regret is reckoned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rl_recsys.core.outcome import Mode
from rl_recsys.errors import UserError
from rl_recsys.evaluation.bandit import Objective
from rl_recsys.storage.files import read_object, require_fields, require_items

REMEDY = "--truth is results.json of jobs/evaluate.py"


def evaluated_means(
    path: Path, arms: Mapping[str, Sequence[str]], *, objective: Objective, mode: Mode
) -> dict[str, list[float]]:
    """Each arm's success, or mean reward, in [0, 1] by an evaluation's results: one of every seed's policy.

    ``arms``: name -> policy folders. Raises ``UserError`` where the file is damaged, or not of these arms.
    """
    rows = read_object(path, REMEDY, fields={"arms": list})["arms"]
    measured, unit = ("seeds", 1) if objective == "success" else ("seed_scores", 100)
    for row in rows:
        require_fields(row, {"arm": str, measured: list}, path, REMEDY)
        require_items(row[measured], float, f"{path}, arm {row['arm']!r}, {measured!r}", REMEDY)
    by_label = {row["arm"]: [value / unit for value in row[measured]] for row in rows}
    labels = {arm: arm if arm in by_label else f"{arm}, {mode}" for arm in arms}
    missing = [label for arm, label in labels.items() if len(by_label.get(label, ())) != len(arms[arm])]
    if missing:
        raise UserError(
            f"{path} has no arm {', '.join(missing)} with as many seeds; evaluate the same arms in the same mode"
        )
    return {arm: by_label[label] for arm, label in labels.items()}
