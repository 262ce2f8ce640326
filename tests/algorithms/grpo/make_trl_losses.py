"""Write trl_losses.json: random decisions, and what TRL's GRPO makes of them, a decision being a token there.

It needs a virtual environment of its own:

    pip install trl==0.16.1 transformers==4.51.3 datasets==3.6.0 accelerate==1.6.0 torch
    python tests/algorithms/grpo/make_trl_losses.py

The loss and the log-probabilities, at a temperature, are methods of TRL's trainer, which read settings of the trainer
and nothing else of it. Sequences are of unequal length.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch
import trl
from trl import GRPOTrainer

B, LONGEST, ACTIONS, SEED = 4, 3, 5, 0
CASES = [
    {"clip": 0.2, "temperature": 1.0, "kl_weight": 0.0},
    {"clip": 0.2, "temperature": 1.0, "kl_weight": 0.04},
    {"clip": 0.1, "temperature": 0.7, "kl_weight": 0.5},
    {"clip": 0.3, "temperature": 1.5, "kl_weight": 0.01},
]


def main() -> None:
    """Write the file beside this script."""
    generator = torch.Generator().manual_seed(SEED)
    logits, other, reference = (
        torch.randn(B, LONGEST, ACTIONS, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    actions = torch.randint(0, ACTIONS, (B, LONGEST), generator=generator)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
    advantages = torch.randn(B, generator=generator, dtype=torch.float64)
    cases = []
    for case in CASES:
        trainer = SimpleNamespace(
            beta=case["kl_weight"], epsilon_low=case["clip"], epsilon_high=case["clip"], num_iterations=2,
            temperature=case["temperature"], control=SimpleNamespace(should_evaluate=False),
            accelerator=SimpleNamespace(gather_for_metrics=lambda value: value),
            _metrics={"train": defaultdict(list)}, args=SimpleNamespace(report_to=[]),
        )  # fmt: skip

        def log_probabilities(scores: torch.Tensor, trainer: SimpleNamespace = trainer) -> torch.Tensor:
            # TRL leaves out the last position's logits: those of the word after the sequence.
            padded = torch.cat([scores, scores.new_zeros(B, 1, ACTIONS)], 1)
            method = GRPOTrainer._get_per_token_logps.__wrapped__
            return method(trainer, lambda **_: SimpleNamespace(logits=padded), actions, None, LONGEST)

        leaf = logits.clone().requires_grad_()
        trainer._get_per_token_logps = lambda *_, leaf=leaf, of=log_probabilities: of(leaf)
        old, ref = log_probabilities(logits + 0.3 * other), log_probabilities(reference)
        inputs = {
            "prompt_ids": torch.zeros(B, 1, dtype=torch.long), "prompt_mask": torch.ones(B, 1, dtype=torch.long),
            "completion_ids": actions, "completion_mask": mask, "advantages": advantages,
            "old_per_token_logps": old, "ref_per_token_logps": ref,
        }  # fmt: skip
        loss = GRPOTrainer.compute_loss.__wrapped__(trainer, None, inputs)
        loss.backward()
        kept = mask.bool()
        rows = {"old_log_probability": old[kept].tolist(), "reference_log_probability": ref[kept].tolist()}
        cases.append({"settings": case, **rows, "value": loss.item(), "gradient": leaf.grad[kept].tolist()})
    found = {
        "trl": trl.__version__,
        "logits": logits[kept].tolist(),
        "actions": actions[kept].tolist(),
        "advantages": advantages.unsqueeze(1).expand(B, LONGEST)[kept].tolist(),
        "cases": cases,
    }
    Path(__file__).with_name("trl_losses.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
