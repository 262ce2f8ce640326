"""Arms of a comparison as flags name them."""

from __future__ import annotations

import pytest

from algorithms.experiments.policy_flags import arms_of
from rl_recsys.errors import UserError


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", "=x", "a\nb"])
def test_an_arm_is_called_as_a_file_can_be(name, policy_folder, task):
    """Its episodes lie in a file of its name, and are read back by it."""
    with pytest.raises(UserError, match="--policies"):
        arms_of([f"{name}={policy_folder}"], task)


def test_arms_of_several_seeds(policy_folder, task):
    folder = str(policy_folder)
    assert arms_of([f"a, b={folder}", f"a, b={folder}", "heuristic"], task) == {
        "a, b": [folder] * 2,
        "heuristic": ["heuristic"],
    }
