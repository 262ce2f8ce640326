"""What the arms of a page of episodes are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.evaluation.episodes_page import short_names

NAMES = st.sampled_from(["runs", "a", "b", "ppo", "policy", "people"])
ARMS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=6, unique=True)


@pytest.mark.parametrize(
    ("arms", "names"),
    [
        (["runs/demo/seed-0/imitation/policy", "people"], ["imitation", "people"]),
        (["/data/runs/0/ppo/policy", "/data/runs/1/ppo/policy"], ["0/ppo", "1/ppo"]),
        (["runs/ppo/policy", "ppo"], ["runs/ppo", "ppo"]),
        (["s3://bucket/runs/dpo/policy"], ["dpo"]),
        (["policy"], ["policy"]),
        ([""], [""]),
    ],
)
def test_a_policy_is_called_as_its_run(arms, names):
    assert short_names(arms) == dict(zip(arms, names, strict=True))


@given(ARMS)
def test_two_arms_never_have_one_name(arms):
    names = short_names(arms)
    assert list(names) and len(set(names.values())) == len(names) == len(arms) if arms else not names
