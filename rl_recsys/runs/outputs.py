"""What each job does with its --out: take a path or a URI, keep other jobs away, spare what is not its own."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.runs.processes import ending_in_order
from rl_recsys.runs.settings import SETTINGS, mark_own, require_own, unmark_unused
from rl_recsys.storage.files import full_disk_named
from rl_recsys.storage.folders import CONTENTS
from rl_recsys.storage.locations import (
    INDEX,
    Place,
    StorageError,
    absolute,
    expanded,
    is_of_places,
    is_uri,
    names_at,
    of_each,
    uri_lock,
    working_folder,
)
from rl_recsys.storage.locks import HELD_BY_PARENT, held, lock_beside, lock_in

Main = Callable[..., Any]
_MANIFEST = "manifest.json"  # what an earlier version's shop has in the place of contents.json
RAY_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # a variable of a submitted job, of this very name


def writes_to_its_out(job: str, *, also: Collection[str] = (), flag: str = "out") -> Callable[[Main], Main]:
    """A job that writes files into ``arguments.out``, or what its ``flag`` is, if there is one, which may be a URI.

    It gets a local folder in its place (``place_of`` has the user's name for it), which no other job writes to
    meanwhile and which is new, empty, or made by the same job before (or by one of ``also``).
    """

    return functools.partial(_given_a_folder, opened=functools.partial(_own_folder, job=job, also=also), flag=flag)


def replaces_its_out(main: Main) -> Main:
    """A job that makes ``arguments.out``, if there is one, as a whole (``whole_folder``). It may be a URI."""
    return _given_a_folder(main, opened=_place_to_replace)


def _given_a_folder(main: Main, *, opened: Callable[[Place], AbstractContextManager[Path]], flag: str = "out") -> Main:
    """``main`` with what ``opened`` yields in the place of the ``flag``, if it is given."""

    @functools.wraps(main)
    def run(arguments: Any, *rest: Any) -> Any:
        arguments = with_homes(arguments)
        place = getattr(arguments, flag)
        if place is None:
            return main(arguments, *rest)
        _warn_of_a_copy(place, flag)
        with ending_in_order(), _said_of(flag), opened(place) as folder:
            return main(replace(arguments, **{flag: folder}), *rest)

    return run


def with_homes(arguments: Any) -> Any:
    """A job's arguments with "~" spelled out in what are places or paths: a shell leaves it in --out=~/run."""
    changed = {}
    for name, hint in get_type_hints(type(arguments)).items():
        value = getattr(arguments, name)
        if value is not None and is_of_places(hint):
            changed[name] = of_each(expanded, value)
    return replace(arguments, **changed)


@contextmanager
def _place_to_replace(place: Place) -> Iterator[Path]:
    if is_uri(place):
        _require_ours_at(str(place), (CONTENTS, _MANIFEST))
    with (
        _locked(place, lock_beside),
        working_folder(place, meanwhile=False) as folder,
        _said_as_given(place, folder),
        full_disk_named(folder, "what was there is as it was; name another --out or make room", around=folder.parent),
    ):
        yield folder


@contextmanager
def _own_folder(place: Place, job: str, also: Collection[str]) -> Iterator[Path]:
    if is_uri(place):
        _require_ours_at(str(place), (SETTINGS,))
    else:
        with full_disk_named(Path(place), "name another --out", around=Path("/")):
            require_own(Path(place), job, also=also)
    with (
        _locked(place, lock_in),
        working_folder(place) as folder,
        _said_as_given(place, folder),
        full_disk_named(folder, "what is written stays, name another --out or make room"),
    ):
        mark_own(folder, job, also=also)
        try:
            yield folder
        finally:
            unmark_unused(folder)


def _require_ours_at(uri: str, marks: Collection[str]) -> None:
    """Before anything is fetched: what is there must have one of the files that say what it is."""
    names = names_at(uri)
    if names and not names.intersection((INDEX, *marks)):
        shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
        raise StorageError(f"{uri} holds files that no job wrote ({shown}): it is left as it is; name another place")


@contextmanager
def _locked(place: Place, lock_of: Callable[[Path], Path]) -> Iterator[None]:
    if is_uri(place):
        with uri_lock(str(place)):
            yield
        return
    folder = Path(os.path.realpath(place))
    if os.environ.get(HELD_BY_PARENT) == str(folder):
        yield
        return
    lock = lock_of(folder)
    made = [parent for parent in lock.parents if not parent.exists()]
    try:
        with ExitStack() as stack:
            with full_disk_named(Path(place), "name another --out", around=Path("/")):
                lock.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(lock, str(place)))
            yield
    finally:
        for parent in made:  # where the job wrote nothing there is nothing new
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def _said_of(flag: str) -> Iterator[None]:
    """Errors name the flag that the job has."""
    try:
        yield
    except UserError as error:
        error.args = tuple(str(text).replace("--out", f"--{flag}") for text in error.args)
        raise


@contextmanager
def _said_as_given(place: Place, folder: Path) -> Iterator[None]:
    """Errors speak of the place that the user gave, not of this node's folder for it."""
    try:
        yield
    except UserError as error:
        if is_uri(place):
            error.args = tuple(str(text).replace(str(folder), str(place).rstrip("/")) for text in error.args)
        raise


def _warn_of_a_copy(place: Place, flag: str) -> None:
    """A submitted job runs in a copy of the working directory, which nobody looks into and which Ray removes."""
    if is_uri(place) or Path(place).is_absolute() or not _runs_in_a_copy():
        return
    say(
        f"warning: --{flag} {place} is relative, so it lies in Ray's copy of the working directory, which Ray removes: "
        f"{absolute(place)}; submit the job with an absolute path or a URI"
    )


def _runs_in_a_copy() -> bool:
    try:
        config = json.loads(os.environ.get(RAY_JOB_CONFIG, ""))
        return bool(config["runtime_env"]["working_dir"])
    except (ValueError, KeyError, TypeError):
        return False
