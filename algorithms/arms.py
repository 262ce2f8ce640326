"""The arms of a comparison, as jobs are told them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from policies.choice_model import TRAINING_FILE, read_policy_file
from policies.episodes import RULE
from rl_recsys.errors import UserError


def arms_of(policies: Sequence[str]) -> dict[str, list[str]]:
    """NAME=FOLDER flags as name -> policy folders; a name given several times is one arm trained with several seeds.

    "rule" alone is the rule baseline. Raises ``UserError`` for another form, ``PolicyError`` where a folder is none.
    """
    arms: dict[str, list[str]] = defaultdict(list)
    for policy in policies:
        name, separator, folder = policy.partition("=")
        if policy == RULE:
            folder = RULE
        elif not (separator and name and folder) or name == RULE:
            raise UserError(f"--policies {policy!r}: expected NAME=FOLDER, or {RULE} for the rule baseline")
        else:
            read_policy_file(folder, TRAINING_FILE)
        arms[name].append(folder)
    return dict(arms)


def training_of(folder: str) -> dict:
    """How an arm's policy was trained; of the rule baseline {}."""
    return {} if folder == RULE else read_policy_file(folder, TRAINING_FILE)
