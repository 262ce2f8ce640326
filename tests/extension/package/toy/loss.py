"""A loss: IPO (Azar et al. 2024), which asks for a margin of 1 / (2 beta) over the reference and no more."""

from rl_recsys.algorithms.dpo.pairs import Pairs
from torch import Tensor


def toy_ipo(pairs: Pairs, *, beta: float) -> Tensor:
    """Mean of (h - 1 / (2 beta)) squared, h being the margin above the reference's [B]."""
    return ((pairs.margin - pairs.reference_margin - 1 / (2 * beta)) ** 2).mean()
