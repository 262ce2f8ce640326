"""A tiny policy, and what it is shown in a few sessions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.base import load_policy
from policies.bert_choice.model import BertChoice
from rl_recsys.core.encoding import load_decision_encoder
from rl_recsys.webshop.observe.decisions import ChoiceSession


@pytest.fixture(scope="module")
def model(policy_folder) -> BertChoice:
    return load_policy(policy_folder)


@pytest.fixture(scope="module")
def decisions(shop):
    """Decisions of a few sessions: start, results and item pages."""
    found = []
    for goal in range(4):
        choices = ChoiceSession(shop.session(goal), max_choices=24)
        for index in (0, 3, 4):
            found.append(choices.decision)
            choices.choose(index)
        found.append(choices.decision)
    return found


@pytest.fixture(scope="module")
def observation(policy_folder, decisions):
    encoder = load_decision_encoder(policy_folder)
    encoded = [encoder.encode(decision) for decision in decisions]
    return {key: torch.as_tensor(np.stack([one[key] for one in encoded])) for key in encoded[0]}
