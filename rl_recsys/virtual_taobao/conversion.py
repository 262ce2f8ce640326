"""A user's own checkout of Virtual-Taobao as a folder of arrays: it has no licence, so neither is shipped here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from rl_recsys.storage.files import checksum, write_json
from rl_recsys.storage.folders import require_replaceable, whole_folder
from rl_recsys.virtual_taobao.networks import LAYERS
from rl_recsys.virtual_taobao.weights import KIND, WEIGHTS_FILE, Weights, WeightsError, require_form

SOURCE_FILE = "source.json"
#: sha256 of the files at the repository's last commit, ff4f1cc.
PUBLISHED_FILES = {
    "generator": "15f4f5b05df3de81016cde4b29379d24cf8b4fcb076d78055b06984137a983ac",
    "action": "eceebf80181735459eec841cb1f73fa1a3f5f2796f68f4f8366a36d5e8da7be8",
    "leave": "022d7f88e180899bd8fe6b26b82b6ccca8bbb82d253b30ebac372534e8a2df12",
}
REMEDY = "name a checkout of github.com/eyounx/VirtualTaobao at ff4f1cc"
#: Reads the arrays of a file that torch wrote, and nothing but arrays. Raises any exception for what is none.
ReadArrays = Callable[[Path], Mapping[str, np.ndarray]]


def convert(checkout: Path, out: Path, read: ReadArrays, *, any_networks: bool = False) -> Weights:
    """Write the networks of a checkout into the folder ``out``, whole or not at all.

    A file that is not the published one is refused before it is read, unless ``any_networks``; one of another form is
    refused in any case. Raises ``WeightsError``, and ``FolderError`` where ``out`` holds something else.
    """
    require_replaceable(out, kind=KIND)  # before anything is read
    arrays: dict[str, np.ndarray] = {}
    source: dict[str, str] = {}
    for network in LAYERS:
        path = checkout / "virtualTB" / "data" / f"{network}_model.pt"
        if not path.is_file():
            raise WeightsError(f"{path}: missing; {REMEDY}")
        source[path.name] = checksum(path)
        if not any_networks and source[path.name] != PUBLISHED_FILES[network]:
            raise WeightsError(f"{path}: not the published file (its sha256 differs); {REMEDY}, or add --any-networks")
        try:
            found = dict(read(path))
        except Exception as error:  # whatever a reader says of what it cannot read
            reason = (str(error).splitlines() or [""])[0][:120]
            raise WeightsError(f"{path}: no file of a network ({type(error).__name__}: {reason}); {REMEDY}") from None
        found = {f"{network}.{name}": array for name, array in found.items()}
        require_form(found, path, REMEDY, f"{network}.")
        arrays |= {name: np.ascontiguousarray(array) for name, array in found.items()}
    weights = Weights(str(out), arrays)
    with whole_folder(out, kind=KIND) as aside:
        safetensors.numpy.save_file(arrays, aside / WEIGHTS_FILE)
        write_json(aside / SOURCE_FILE, {"sha256": source, "fingerprint": weights.fingerprint})
    return weights
