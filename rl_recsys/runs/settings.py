"""What a folder was made with, kept beside what was made, so that a later run knows whether it may go on there."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from rl_recsys.errors import UserError
from rl_recsys.storage.files import read_json, read_object, require_fields, write_json
from rl_recsys.storage.folders import digest_of, kind_of
from rl_recsys.storage.locations import Place, absolute, is_of_places, is_uri, local_folder, of_each
from rl_recsys.storage.locks import LOCK

SETTINGS = "settings.json"
JOB = "job"  # in it: which job makes the folder
SHOWN = "quiet"  # the flag of every job that decides only what is shown
CONTENTS = "contents"  # in it: name of a setting -> a digest of what the place holds that it names
#: What the settings of a job had that no other's had, before they named the job.
_TELLING = {
    "demonstrate": "shopper",
    "generate": "group",
    "imitate": "apart_layers",
    "dpo": "beta",
    "ppo": "clip",
    "thompson": "objective",
    "tune": "space",
}
_STUDY = "study.json"  # of a study that was begun before its folder had settings
_SHOWN = 3  # files in a message


class SettingsError(UserError):
    """The folder was made by another job, or with other settings; the message lists them. Nothing was changed."""


def require_own(folder: Path, job: str, *, also: Collection[str] = ()) -> None:
    """Raise ``SettingsError`` unless a job may write into a folder: a new one, an empty one, or one that it made.

    ``also``: other jobs into whose folders it writes.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file: it is left as it is; name a folder")
    found = sorted(path.name for path in folder.iterdir() if path.name != LOCK) if folder.is_dir() else []
    if not found:
        return
    remedy = "it is left as it is; name a folder that is not there yet"
    if (folder / SETTINGS).is_file():
        settings = read_object(folder / SETTINGS, remedy, error=SettingsError)
        made = settings.get(JOB) or next((one for one, name in _TELLING.items() if name in settings), None)
    else:
        made = "reproduce" if _STUDY in found else None
    if made in (job, *also):
        return
    if made is not None:
        raise SettingsError(f"{folder} was made by jobs/{made}.py, not by jobs/{job}.py: {remedy}")
    if kind := kind_of(folder):
        raise SettingsError(f"{folder} holds a {kind}: {remedy}")
    shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    raise SettingsError(f"{folder} holds files that jobs/{job}.py did not write ({shown}): {remedy}")


def mark_own(folder: Path, job: str, *, also: Collection[str] = ()) -> None:
    """Say in a new folder which job makes it. Raises as ``require_own`` does."""
    require_own(folder, job, also=also)
    if not (folder / SETTINGS).is_file():
        write_json(folder / SETTINGS, {JOB: job})


def unmark_unused(folder: Path) -> None:
    """Take ``mark_own``'s mark from a folder in which nothing else was written."""
    if folder.is_dir() and [path.name for path in folder.iterdir() if path.name != LOCK] == [SETTINGS]:
        found = read_json(folder / SETTINGS)
        if isinstance(found, dict) and found.keys() == {JOB}:
            (folder / SETTINGS).unlink()


def deciding(arguments: Any, incidental: Collection[str]) -> dict[str, Any]:
    """The flags of a job that decide what it makes: all but the ``incidental`` ones.

    Places are absolute, and ``CONTENTS`` says what each holds where the folder says it itself: the same policy makes
    the same run wherever it lies.
    """
    hints = get_type_hints(type(arguments))
    left_out = {*incidental, SHOWN}
    flags = {field.name: getattr(arguments, field.name) for field in fields(arguments) if field.name not in left_out}
    places = {name for name, value in flags.items() if value is not None and is_of_places(hints[name])}
    held = {name: _digests(flags[name]) for name in places}
    return {
        **{
            name: of_each(absolute, value) if name in places or _is_path(value) else value
            for name, value in flags.items()
        },
        CONTENTS: {name: digests for name, digests in held.items() if digests is not None},
    }


def _digests(places: Place | tuple[Place, ...]) -> Any:
    """What a place holds, or each of several; None where one of them does not say it."""
    found = of_each(lambda place: digest_of(local_folder(place)), places)
    return None if isinstance(found, tuple) and None in found else found


def _is_path(value: Any) -> bool:
    """Whether it is a text that names something on this disk by its path, as an encoder's folder may be named."""
    return isinstance(value, str) and os.sep in value and not is_uri(value) and os.path.exists(value)


def goes_on_with(incidental: Collection[str]) -> str:
    """What --help says of a job's flags that may differ where the job goes on with what it had begun."""
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in incidental)
    return f"The same run goes on where only these flags differ; others make another run: {flags}"


def claim(
    folder: Path,
    settings: Mapping,
    *,
    begun: bool,
    incidental: Collection[str] = (),
    added: Mapping = MappingProxyType({}),
) -> None:
    """Write the settings into ``folder``, or, where work has ``begun`` there, check that they are the same.

    Two settings that name places are the same where the ``CONTENTS`` of both say that they hold the same. An earlier
    version may have written flags that are ``incidental`` now, and not have had those ``added`` since, which give the
    values that it worked with.
    """
    settings = json.loads(json.dumps(dict(settings), default=str))
    path = folder / SETTINGS
    if begun and not path.is_file():
        raise SettingsError(f"{folder} has no {SETTINGS}: it was not made by this job; use another --out")
    remedy = "use another --out"
    before = read_object(path, remedy, error=SettingsError) if path.is_file() else {}
    if CONTENTS in before:
        require_fields(before, {CONTENTS: dict}, path, remedy, error=SettingsError)
    if JOB in before:
        settings = {JOB: before[JOB]} | settings
    if not begun:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, settings)
        return
    before = {name: value for name, value in added.items() if name in settings} | before
    if changed := [name for name in _changed(before, settings) if name not in incidental]:
        listed = "; ".join(f"{name}: {before.get(name)} before, {settings.get(name)} now" for name in changed)
        raise SettingsError(f"{folder} was begun with other settings ({listed}); use another --out")


def _changed(before: Mapping, now: Mapping) -> list[str]:
    digests_before, digests_now = before.get(CONTENTS) or {}, now.get(CONTENTS) or {}
    changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)} - {CONTENTS}
    both = digests_before.keys() & digests_now.keys()
    same = {name for name in both if digests_before[name] == digests_now[name]}
    return sorted((changed | both) - same)
