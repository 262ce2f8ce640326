"""Losses of preferences, as pure functions: (pairs, the hyper-parameters that it has by their names) -> scalar."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from algorithms.dpo.loss_by_name import on_whole_pages
from algorithms.dpo.pairs import Pairs


def dpo_loss(pairs: Pairs, *, beta: float, label_smoothing: float) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7; Feng & Feng 2024), with label smoothing e:

    -mean [(1 - e) log sigma(beta h) + e log sigma(-beta h)],
    h = log pi(w|s)/pi(l|s) - log pi_ref(w|s)/pi_ref(l|s).

    Of two actions of one page the softmax's normaliser cancels in h; of two episodes h is a sum over their decisions.
    """
    return _logistic(beta * (pairs.margin - pairs.reference_margin), label_smoothing)


def ipo_loss(pairs: Pairs, *, beta: float, label_smoothing: float) -> Tensor:
    """Identity preference optimisation (Azar et al. 2024, eq. 17), with label smoothing e:

    mean [(1 - e) (h - 1 / (2 beta))^2 + e (h + 1 / (2 beta))^2],  h as in ``dpo_loss``.

    h is drawn to 1 / (2 beta), and to (1 - 2 e) / (2 beta) where pairs are doubted; ``dpo_loss`` without doubt drives
    it on without end.
    """
    difference, target = pairs.margin - pairs.reference_margin, 1 / (2 * beta)
    return (
        (1 - label_smoothing) * (difference - target).square() + label_smoothing * (difference + target).square()
    ).mean()


@on_whole_pages
def kto_loss(pairs: Pairs, *, beta: float, lambda_d: float, lambda_u: float) -> Tensor:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, section 4.1): each side of a pair is an example by itself.

    mean over the 2 B examples of lambda_y - v(y),  r(y) = log pi(y|s) / pi_ref(y|s),
    v(w) = lambda_d sigma(beta (r(w) - z0)) of a desirable side, v(l) = lambda_u sigma(beta (z0 - r(l))) of another,
    z0 = mean over the batch's sides of KL(pi || pi_ref), without a gradient.

    The paper estimates z0 by the log-ratios of other prompts' answers. A page has few actions, so here the divergence
    of each page is exact, and never negative; an episode's is the sum over the pages that it came to. Each of several
    learners takes its own batch's.
    """
    reference_point = pairs.divergence.detach().mean()
    desirable, undesirable = (beta * (pairs.log_ratios - reference_point)).unbind(1)
    # lambda - lambda sigma(x) = lambda sigma(-x), which keeps its digits where sigma(x) is near 1.
    return (lambda_d * F.sigmoid(-desirable) + lambda_u * F.sigmoid(undesirable)).mean() / 2


def simpo_loss(pairs: Pairs, *, beta: float, gamma: float, label_smoothing: float) -> Tensor:
    """Simple preference optimisation (Meng et al. 2024, eq. 6), with the label smoothing e of ``dpo_loss``:

    -mean [(1 - e) log sigma(u) + e log sigma(-u)],  u = beta (log pi(w|s) / |w| - log pi(l|s) / |l|) - gamma.

    There is no reference. |w| and |l| are decisions: 1 for an action, so that the normaliser cancels as in
    ``dpo_loss``; for an episode log pi / |.| is the mean over its decisions.
    """
    return _logistic(beta * pairs.mean_margin - gamma, label_smoothing)


def _logistic(margin: Tensor, label_smoothing: float) -> Tensor:
    """-mean [(1 - e) log sigma(margin) + e log sigma(-margin)]: cross-entropy of margins [B] with doubted labels."""
    return -((1 - label_smoothing) * F.logsigmoid(margin) + label_smoothing * F.logsigmoid(-margin)).mean()
