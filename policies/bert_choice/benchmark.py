"""How fast a policy plays, beside the original's way: one state at a time, every action encoded at every step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from policies.base import Policy, load_policy
from policies.bert.bert import Bert
from policies.bert.transfer import on_host
from policies.bert_choice.encoding_cache import EncodingCache
from policies.bert_choice.model import BertChoice
from policies.bert_choice.text_encoder import Encoded, TextEncoder
from policies.play import SESSIONS_AT_ONCE, policy_episodes
from rl_recsys.core.encoding import fitting_goals, load_decision_encoder
from rl_recsys.core.policy_folder import CONFIG_FILE, read_policy_file
from rl_recsys.core.task import open_task
from rl_recsys.runs.measurement import Figure, in_child

PLAY_REPEATS = 3


def one_by_one(model: BertChoice) -> BertChoice:
    """The model with an encoder that reads each text it is given, and keeps nothing: what keeping is compared with.

    WebShop's choice model pads to fixed lengths besides; that is not held against it here.
    """
    of = model.encoder
    model.encoder = _ForgetfulEncoder(of.bert, apart_layers=of.apart_layers, begin=of.begin, end=of.end)
    model.precision = of.precision
    return model


class _ForgetfulEncoder(TextEncoder):
    def __init__(self, bert: Bert, **options: int):
        super().__init__(bert, **options)
        self._segments = _NothingKept(self._apart_parameters, "segments")

    def forward(self, ids: Tensor | np.ndarray) -> Encoded:
        """The encodings of texts given as padded token ids [N, L]: of every row anew."""
        padded = on_host(ids)
        lengths = (padded != 0).sum(-1)
        return Encoded.of(torch.cat(self.read([row[:n] for row, n in zip(padded, lengths, strict=True)])), lengths)


class _NothingKept(EncodingCache):
    def get(self, keys: list[bytes], compute: Callable[[Sequence[int]], list[Tensor]], precision: str) -> list[Tensor]:
        """The tensors of these keys, computed at every call."""
        return compute(range(len(keys)))


def policy_figures(policy: Path, task: str, goals: int) -> Iterator[Figure]:
    """Steps/s of both ways on the same training goals, at most so many, on one core, one way after the other.

    Raises ``UserError``, before anything is measured, where the task or the policy cannot be opened.
    """
    goals = min(goals, len(open_task(task).split("train")))
    read_policy_file(policy, CONFIG_FILE)
    found = in_child(__name__, "measure_play", str(policy), task, goals, one_core=True)
    fast, slow = statistics.median(found["fast"]), found["slow"]
    note = f"{found['steps']:,} steps of {goals} goals; {min(found['fast']):.1f} to {max(found['fast']):.1f}"
    yield Figure("greedy episodes, batched, equal texts encoded once, encodings kept", fast, "steps/s", note=note)
    yield Figure("one state at a time, every action encoded at every step", slow, "steps/s")
    yield Figure("  ratio", fast / slow, "times", 5, at_least=True)
    yield Figure("  episodes that end otherwise", found["different"], f"of {goals}", 0)


def measure_play(policy: str, task: str, goals: int) -> dict:
    """{"fast" [steps/s], "slow" steps/s, "steps", "different" episodes}, with the caches empty at each start."""
    torch.set_num_threads(1)
    opened = open_task(task)
    played = fitting_goals(opened, list(opened.split("train"))[:goals], load_decision_encoder(policy)).goals

    def play(model: Policy, at_once: int) -> tuple[float, list]:
        start = time.perf_counter()
        outcomes = list(policy_episodes(model, opened, played, greedy=True, at_once=at_once))
        seconds = time.perf_counter() - start
        model.forget_encodings()  # else the next one, which has the same weights, would go on with what it kept
        return sum(outcome.steps for outcome in outcomes) / seconds, outcomes

    first = load_policy(policy)
    for _ in policy_episodes(first, opened, played[:1], greedy=True):  # Java, where there is any
        pass
    first.forget_encodings()  # which would be the next one's while this one waits to be collected
    fast = [play(load_policy(policy), SESSIONS_AT_ONCE) for _ in range(PLAY_REPEATS)]
    slow, alike = play(one_by_one(load_policy(policy)), 1)
    return {
        "fast": [rate for rate, _ in fast],
        "slow": slow,
        "steps": sum(outcome.steps for outcome in alike),
        "different": sum(one != other for one, other in zip(fast[0][1], alike, strict=True)),
    }
