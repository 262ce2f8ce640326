"""In a checkout, ``rl_recsys.envs``, ``.policies`` and ``.algorithms`` are the folders beside ``rl_recsys``.

An installed package has them inside ``rl_recsys`` (docs/packaging.md). So code of other packages imports
``rl_recsys.policies.base`` in both places, and gets the module that the checkout calls ``policies.base``, not another.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOMS = ("envs", "policies", "algorithms")
_PACKAGE = Path(__file__).parent


class _Alias(MetaPathFinder, Loader):
    """Finds a module of a room by its name in an installed package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the rooms only."""
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == __package__ and name.split(".")[0] in ROOMS else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module by its name here."""
        module = import_module(spec.name.partition(".")[2])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is: its own loader has run it."""
        module.__spec__ = module.__spec__.loader_state


def alias_rooms() -> None:
    """Make the names known, where this is a checkout."""
    if not any((_PACKAGE / room).is_dir() for room in ROOMS):
        sys.meta_path.insert(0, _Alias())  # before the one that would run the files a second time
