"""What a policy gives is looked at before an action is chosen by it.

Nothing else does: an argmax takes the first action of logits that are nan, and the checks of ``torch.distributions``
are off for the whole process where any library switched them off, as torchrl does when it is imported.
"""

from __future__ import annotations

from torch import Tensor

from rl_recsys.core.policy_folder import PolicyError


def require_finite(logits: Tensor, name: str) -> Tensor:
    """The logits [B, A] of the policy called ``name``. Raises ``PolicyError`` where one of them is no finite number."""
    if not logits.isfinite().all():
        raise PolicyError(
            f"{name}: the policy gives an action a logit that is no finite number, so its weights are damaged; "
            "copy it again, or train it with a lower --learning-rate"
        )
    return logits
