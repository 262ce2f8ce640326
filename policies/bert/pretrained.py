"""Pretrained BERT encoders as models."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch

from policies.bert.bert import Bert, BertShape
from policies.bert.encoder_folder import EncoderError
from rl_recsys.core.policy_folder import TOKENIZER_FILE
from rl_recsys.storage.files import read_object

REMEDY = "copy the encoder whole, or use another"


def load_encoder(folder: Path) -> Bert:
    """The BERT of a folder, less its pooler. Raises ``EncoderError`` naming the file."""
    files = folder / "config.json", folder / "model.safetensors", folder / TOKENIZER_FILE
    for path in files:
        if not path.is_file():
            raise EncoderError(f"{path}: missing; an encoder folder holds {', '.join(file.name for file in files)}")
    config, weights = files[:2]
    try:
        model = Bert.blank(BertShape.of(read_object(config, REMEDY, error=EncoderError)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EncoderError(f"{config}: no BERT that can be used here ({error}); {REMEDY}") from None
    try:
        found = {_name(name): tensor.float() for name, tensor in safetensors.torch.load_file(weights).items()}
        model.load_state_dict({name: found[name] for name in model.state_dict()})
        infinite = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    except KeyError as error:
        raise EncoderError(
            f"{weights}: has no {error.args[0]}; it may be no BERT's, or not of this config.json; {REMEDY}"
        ) from None
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise EncoderError(
            f"{weights}: damaged, or not of this config.json ({str(error).splitlines()[-1].strip()}); {REMEDY}"
        ) from None
    if infinite:
        raise EncoderError(f"{weights}: {infinite[0]} has values that are not finite; {REMEDY}")
    return model


def _name(weight: str) -> str:
    """As in a bare ``BertModel``: models with a head have it under "bert.", and the first had TensorFlow's names."""
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        weight = weight.removesuffix(old) + new if weight.endswith(old) else weight
    return weight.removeprefix("bert.")
