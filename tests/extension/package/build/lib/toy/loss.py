"""A loss: IPO (Azar et al. 2024), which asks for a margin of 1 / (2 beta) over the reference and no more."""

from torch import Tensor


def toy_ipo(margin: Tensor, reference: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Mean of (h - 1 / (2 beta)) squared, h being the margin above the reference's [B]."""
    return ((margin - reference - 1 / (2 * beta)) ** 2).mean()
