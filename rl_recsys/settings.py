"""What a folder was made with, kept beside what was made, so that a later run knows whether it may go on there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rl_recsys.errors import UserError
from rl_recsys.files import write_json

SETTINGS = "settings.json"


class SettingsError(UserError):
    """The folder was made with other settings; the message lists them."""


def claim(folder: Path, settings: Mapping, *, begun: bool) -> None:
    """Write the settings into ``folder``, or, where work has ``begun`` there, check that they are the same."""
    settings = json.loads(json.dumps(dict(settings), default=str))
    path = folder / SETTINGS
    if begun and not path.is_file():
        raise SettingsError(f"{folder} has no {SETTINGS}: it was not made by this job; use another --out")
    if begun:
        before = json.loads(path.read_text())
        changed = sorted(key for key in before.keys() | settings.keys() if before.get(key) != settings.get(key))
        if changed:
            listed = "; ".join(f"{key}: {before.get(key)} before, {settings.get(key)} now" for key in changed)
            raise SettingsError(f"{folder} was begun with other settings ({listed}); use another --out")
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)
