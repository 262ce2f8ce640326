"""The flags of the shop's benchmark. They are apart from it: its processes must load nothing but the shop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rl_recsys.console.command import Flags
from rl_recsys.console.ranges import COUNT
from rl_recsys.storage.locations import Place
from rl_recsys.webshop.benchmark import PARTS, Part


@dataclass(kw_only=True)
class ShopBenchmarkFlags(Flags):
    """Speed and memory of the shop; about 25 minutes on two idle cores, most of it for catalog, stream and soak."""

    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for shop.json and shop.md; without it they are only printed."""
    parts: tuple[Part, ...] = PARTS
    """What to measure. catalog: preparing and using a large generated catalogue; stream: preparing a long file."""
    products: Annotated[int, COUNT] = 100_000
    """Products of the large catalogue."""
    megabytes: Annotated[int, COUNT] = 1_000
    """Length of the long file."""
    sessions: Annotated[int, COUNT] = 100_000
    """Sessions of the soak."""
