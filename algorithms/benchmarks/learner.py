"""How fast DPO updates, beside the naive form: every action encoded, by the policy and by the reference, each time."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from ray.rllib.core.columns import Columns

from algorithms.common.offline import decisions_to_learn
from algorithms.common.reference import REFERENCE_LOGITS, Reference
from algorithms.dpo.columns import PAIRS
from algorithms.dpo.losses import dpo_loss
from algorithms.dpo.pairs import action_pairs
from algorithms.dpo.preferences import RecordedPreferences
from policies.base import Policy, load_policy
from rl_recsys.core.policy_folder import CONFIG_FILE, read_policy_file
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.runs.measurement import Figure, in_child

UPDATE_PAIRS = 16
UPDATES = 12
WARM = 2  # updates before the clock starts


def learner_figures(policy: Path, trajectories: Path) -> Iterator[Figure]:
    """Pairs/s of both forms on the same pairs, on one core, an update of each in turn; all layers are trained.

    Raises ``UserError``, before anything is measured, where there is no policy or no trajectory.
    """
    read_policy_file(policy, CONFIG_FILE)
    next(read_trajectories(trajectories))
    measured = in_child(__name__, "measure_updates", str(policy), str(trajectories), one_core=True)
    fast, slow = (statistics.median(measured[name]) for name in ("fast", "slow"))
    yield Figure("DPO, the two actions of a pair, margins of the reference known", fast, "pairs/s")
    yield Figure("DPO, all actions, the reference run at every update", slow, "pairs/s")
    yield Figure("  ratio", fast / slow, "times", 3, at_least=True, note=f"{UPDATES} updates of {UPDATE_PAIRS} pairs")
    yield Figure("  largest difference between the gradients, of the largest", measured["difference"], "", 1e-5)
    yield Figure("a pair's reference margin, computed once", 1000 * measured["margin"], "ms")
    for name, what in (("mkl", "products by PyTorch's own choice, MKL"), ("bfloat16", "products in bfloat16")):
        rate = statistics.median(measured[name])
        yield Figure(f"DPO, the two actions of a pair, {what}", rate, "pairs/s", note=f"{rate / fast:.2f} times")


def measure_updates(policy: str, trajectories: str) -> dict:
    """{"fast", "slow" [pairs/s], "difference" of gradients relative to the largest, "margin" s a pair}.

    "mkl" and "bfloat16" are "fast" where PyTorch chooses who computes a product, and with the encoder's in bfloat16.
    """
    torch.set_num_threads(1)
    successful = itertools.islice(read_trajectories(trajectories, minimum_reward=1.0), 60)
    episodes = decisions_to_learn(successful)
    reference = Reference(load_policy(policy))

    def batches(whole_pages: bool) -> RecordedPreferences:
        return RecordedPreferences(episodes, reference, pairs=UPDATE_PAIRS, whole_pages=whole_pages)

    two, whole = batches(False), batches(True)
    start = time.perf_counter()
    pairs = [two.next_batch() for _ in range(UPDATES + WARM)]
    margin = (time.perf_counter() - start) / sum(len(batch[PAIRS]) for batch in pairs)
    pages = [whole.next_batch() for _ in range(UPDATES + WARM)]
    model, naive = (load_policy(policy).train() for _ in range(2))
    for policy_module in (model, naive):
        policy_module.freeze(0)
    frozen, naive = reference.policy.without_reuse(), naive.without_reuse()

    def logits(of: Policy, batch: dict[str, Any]) -> torch.Tensor:
        return of({key: torch.as_tensor(value) for key, value in batch[Columns.OBS].items()})[0]

    def loss_of(learnt: torch.Tensor, known: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        columns = {PAIRS: torch.as_tensor(batch[PAIRS]), REFERENCE_LOGITS: known}
        return dpo_loss(action_pairs(learnt, columns, whole_pages=False), beta=1.0, label_smoothing=0.0)

    def fast(batch: dict[str, Any]) -> torch.Tensor:
        return loss_of(logits(model, batch), torch.as_tensor(batch[REFERENCE_LOGITS]), batch)

    def slow(batch: dict[str, Any]) -> torch.Tensor:
        with torch.no_grad():
            known = logits(frozen, batch)
        return loss_of(logits(naive, batch), known, batch)

    ways = (
        ("fast", model, fast, nullcontext),
        ("slow", naive, slow, nullcontext),
        ("mkl", model, fast, lambda: torch.backends.mkldnn.flags(enabled=False)),
        ("bfloat16", model, fast, lambda: torch.autocast("cpu", torch.bfloat16)),
    )
    rates: dict[str, list[float]] = {name: [] for name, *_ in ways}
    difference = 0.0
    for number, (few, all_of) in enumerate(zip(pairs, pages, strict=True)):
        gradients = {}
        for name, of, loss, products in ways:
            batch = all_of if name == "slow" else few
            seconds, gradients[name] = _update(of, loss, batch, products())
            if number >= WARM:
                rates[name].append(len(batch[PAIRS]) / seconds)
        largest = gradients["slow"].abs().max()
        difference = max(difference, float((gradients["fast"] - gradients["slow"]).abs().max() / largest))
    return rates | {"difference": difference, "margin": margin}


def _update(
    model: Policy, loss: Callable[[Any], torch.Tensor], batch: Any, products: AbstractContextManager
) -> tuple[float, torch.Tensor]:
    """(seconds, gradient) of one backward pass, the forward pass within ``products``."""
    start = time.perf_counter()
    model.zero_grad()
    with products:
        value = loss(batch)
    value.backward()
    seconds = time.perf_counter() - start
    return seconds, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
