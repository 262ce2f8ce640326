"""The files of a policy folder: what it must hold, and that they are as they were written. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rl_recsys.console.ranges import COUNT
from rl_recsys.core.task import DEFAULT_TASK
from rl_recsys.errors import UserError
from rl_recsys.runs.provenance import MADE_WITH, maker
from rl_recsys.storage.checksums import verify_once
from rl_recsys.storage.declared import MAY_BE_MISSING, require_declared
from rl_recsys.storage.files import NO_FIELDS, read_object
from rl_recsys.storage.folders import CONTENTS, read_contents, verify_folder, within
from rl_recsys.storage.locations import Place, inside, local_folder

KIND = "policy"
CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE = "config.json", "model.safetensors", "training.json"
TOKENIZER_FILE = "tokenizer.json"  # of those that read text
#: Keys of config.json: what policy it is and what reads the decisions, by their names in the registry.
POLICY_TYPE, ENCODER_TYPE = "policy_type", "encoder_type"
DEFAULT_TYPE, DEFAULT_ENCODER = "bert_choice", "text"  # of policy folders that name none
REMEDY = "train the policy again or copy it whole"


class PolicyError(UserError):
    """A policy folder is missing or damaged; the message names the file and the remedy."""


def read_policy_file(folder: Place, name: str, *, fields: Mapping[str, type] = NO_FIELDS) -> dict:
    """A JSON file of a policy folder, all of whose files are as they were written. Raises ``PolicyError``.

    ``fields``: see ``require_fields``.
    """
    path = local_folder(folder) / name
    verify_policy(path.parent)
    if not path.is_file():
        run = inside(folder, "policy")  # where a run has its policy
        remedy = f"{run} is one" if (path.parent / "policy" / name).is_file() else "jobs/imitate.py makes one"
        raise PolicyError(f"{path}: missing; {folder} is no policy folder ({remedy})")
    return read_object(path, REMEDY, fields=fields, error=PolicyError)


@dataclass(frozen=True)
class PolicyHeader:
    """What every policy's config.json says, beside its architecture: its type, and whose decisions it reads."""

    policy_type: Annotated[str, MAY_BE_MISSING] = DEFAULT_TYPE
    encoder_type: Annotated[str, MAY_BE_MISSING] = DEFAULT_ENCODER
    task: Annotated[str, MAY_BE_MISSING] = DEFAULT_TASK
    #: The format of the task's decisions.
    decisions: Annotated[int, COUNT, MAY_BE_MISSING] = 1


def read_policy_config(folder: Place) -> dict[str, Any]:
    """A policy folder's config.json, which has a ``PolicyHeader``. Raises ``PolicyError`` naming file and remedy."""
    config = read_policy_file(folder, CONFIG_FILE)
    policy_header(folder, config)
    return config


def policy_header(folder: Place, config: Mapping[str, Any]) -> PolicyHeader:
    """What a policy folder's ``config`` says beside the architecture. Raises ``PolicyError``."""
    return require_declared(PolicyHeader, config, inside(folder, CONFIG_FILE), REMEDY, error=PolicyError)


def write_training(folder: Path, training: Mapping[str, Any]) -> None:
    """Write how a policy was trained, and by what unless ``training`` says it."""
    (folder / TRAINING_FILE).write_text(json.dumps({MADE_WITH: [maker()], **training}, indent=1))


def verify_policy(folder: Path) -> None:
    """Compare all files of a policy folder with their checksums, where this machine did not do it yet.

    A folder of an earlier version has none. Raises ``PolicyError`` naming the file.
    """
    if not (folder / CONTENTS).is_file():
        return

    def files() -> list[Path]:
        return [folder / CONTENTS, *(within(folder, name) for name in sorted(read_contents(folder, REMEDY)))]

    try:
        verify_once(folder, files, lambda: verify_folder(folder, REMEDY))
    except OSError as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"
        raise PolicyError(f"{error.filename or folder}: {reason}; {REMEDY}") from None
    except UserError as error:
        raise PolicyError(str(error)) from None


def files_of_policy(folder: Path) -> set[str] | None:
    """The files of a policy folder of an earlier version, which wrote no listing; None where it is none."""
    files = {CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE, TOKENIZER_FILE}
    return files if all((folder / name).is_file() for name in files) else None
