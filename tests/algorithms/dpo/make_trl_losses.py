"""Write trl_losses.json: random pairs, and what TRL's loss functions make of them.

It needs a virtual environment of its own:

    pip install trl==0.16.1 transformers==4.51.3 datasets==3.6.0 accelerate==1.6.0 torch
    python tests/algorithms/dpo/make_trl_losses.py

TRL's functions are methods of its trainers; they read settings of the trainer and nothing else of it. Log-probabilities
of sequences, and their means, are TRL's too. KTO's reference point is the mean of the "KL" log-ratios that it is given.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import torch
import trl
from trl import CPOTrainer, DPOTrainer, KTOTrainer
from trl.trainer.dpo_config import FDivergenceType

B, LONGEST, WORDS, SEED = 6, 5, 7, 0
ACCELERATOR = SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda value: value)
CASES = [
    ("dpo", {"beta": 0.1, "label_smoothing": 0.0}),
    ("dpo", {"beta": 1.0, "label_smoothing": 0.1}),
    ("ipo", {"beta": 0.25, "label_smoothing": 0.0}),
    ("ipo", {"beta": 1.0, "label_smoothing": 0.0}),
    ("kto", {"beta": 0.1, "lambda_d": 1.0, "lambda_u": 1.0}),
    ("kto", {"beta": 1.0, "lambda_d": 1.3, "lambda_u": 0.5}),
    ("simpo", {"beta": 2.0, "gamma": 1.0, "label_smoothing": 0.0}),
    ("simpo", {"beta": 1.0, "gamma": 0.3, "label_smoothing": 0.2}),
]


def sequences(lengths: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, mean) of the log-probabilities [B] of random sequences of these lengths [B]."""
    logits = torch.randn(B, LONGEST + 1, WORDS, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(0, WORDS, (B, LONGEST + 1), generator=generator)
    labels[torch.arange(LONGEST + 1) > lengths[:, None]] = -100  # TRL's padding; the first word is never counted
    total, mean = (CPOTrainer.get_batch_logps(logits, labels, average_log_prob=mean) for mean in (False, True))
    return total, mean


def losses(name: str, settings: dict, policy, means, reference, divergence) -> torch.Tensor:
    """TRL's losses, one an example."""
    trainer = SimpleNamespace(accelerator=ACCELERATOR, beta=settings["beta"], calculate_KL=True)
    trainer.label_smoothing = settings.get("label_smoothing")
    if name in ("dpo", "ipo"):
        trainer.loss_type = {"dpo": "sigmoid", "ipo": "ipo"}[name]
        trainer.reference_free, trainer.f_divergence_type = False, FDivergenceType.REVERSE_KL.value
        return DPOTrainer.dpo_loss(trainer, policy[:, 0], policy[:, 1], reference[:, 0], reference[:, 1])[0]
    if name == "kto":
        trainer.loss_type = "kto"
        trainer.desirable_weight, trainer.undesirable_weight = settings["lambda_d"], settings["lambda_u"]
        sides = policy[:, 0], policy[:, 1], divergence.flatten(), reference[:, 0], reference[:, 1]
        return KTOTrainer.kto_loss(trainer, *sides, torch.zeros(2 * B, dtype=torch.float64))[0]
    trainer.loss_type, trainer.simpo_gamma = "simpo", settings["gamma"]
    return CPOTrainer.cpo_loss(trainer, means[:, 0], means[:, 1])[0]


def main() -> None:
    """Write the file beside this script."""
    generator = torch.Generator().manual_seed(SEED)
    lengths = torch.randint(1, LONGEST + 1, (B, 2), generator=generator)
    both = [sequences(lengths[:, side], generator) for side in (0, 1)]
    policy, means = (torch.stack(sides, 1) for sides in zip(*both, strict=True))
    reference = policy + torch.randn(B, 2, generator=generator, dtype=torch.float64)
    divergence = torch.rand(B, 2, generator=generator, dtype=torch.float64)
    cases = []
    for name, settings in CASES:
        leaf, scale = policy.clone().requires_grad_(), means / policy  # TRL's mean, as a function of TRL's sum
        loss = losses(name, settings, leaf, leaf * scale, reference, divergence).mean()
        loss.backward()
        cases.append({"loss": name, "settings": settings, "value": loss.item(), "gradient": leaf.grad.tolist()})
    inputs = {"policy": policy, "reference": reference, "lengths": lengths, "divergence": divergence}
    found = {"trl": trl.__version__, "pairs": {name: value.tolist() for name, value in inputs.items()}, "cases": cases}
    Path(__file__).with_name("trl_losses.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
