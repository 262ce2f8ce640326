"""Digests of what a version stands for: decisions, shops, and what agents without a model play.

    python -m tests.golden.digests

writes digests.json anew, once the versions of what has changed were raised; it refuses to where one was not.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from rl_recsys.core.play import scripted_episode
from rl_recsys.core.task import Baseline
from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.data.manifest import FORMAT_VERSION, GOALS, PRODUCTS
from rl_recsys.webshop.observe.decisions import DECISION_FORMAT
from rl_recsys.webshop.shoppers import SCRIPTED
from rl_recsys.webshop.task import WebShop

DIGESTS = Path(__file__).with_name("digests.json")
DECIDED, PLAYED = 20, 60  # goals
RAW = "raw files of the demo"
#: The constant that is raised with each.
CONSTANTS = {
    "shop": "FORMAT_VERSION in rl_recsys/webshop/data/manifest.py",
    "decisions": "DECISION_FORMAT in rl_recsys/webshop/observe/decisions.py",
    "demonstrator": "SCRIPTED in rl_recsys/webshop/shoppers.py",
    **{name: f"the version of baseline {name!r} in rl_recsys/webshop/task.py" for name in WebShop.baselines},
}
WRITE = "python -m tests.golden.digests"


def versions() -> dict[str, int]:
    """The versions that the code has now."""
    return {
        "shop": FORMAT_VERSION,
        "decisions": DECISION_FORMAT,
        "demonstrator": SCRIPTED,
        **{name: baseline.version for name, baseline in WebShop.baselines.items()},
    }


def digest(parts: Iterable[Any]) -> str:
    """Of values that JSON has."""
    found = hashlib.sha256()
    for part in parts:
        found.update(json.dumps(part, sort_keys=True).encode() + b"\n")
    return found.hexdigest()[:16]


def golden(work: Path, walks: list[list[int]] | None = None) -> dict[str, Any]:
    """All digests, by a demo shop that is made in ``work``.

    ``walks``: the choices whose decisions are digested, by default those of the scripted shopper. They are kept, so
    that another shopper makes no other decisions.
    """
    raw = write_demo_files(work, products=200, seed=1)
    compile_shop(Source(*raw), work / "shop", seed=3)
    shop = Shop.open(work / "shop")
    task = WebShop(shop)
    goals = list(task.split("train"))
    if walks is None:
        walks = [_chosen(task, task.demonstrator, goal) for goal in goals[:DECIDED]]
    found = {
        "shop": digest(_contents(work / "shop", shop.manifest)),
        "decisions": digest(_decisions(task, goal, walk) for goal, walk in zip(goals, walks, strict=False)),
        "demonstrator": digest(_episode(task, task.demonstrator, goal) for goal in goals[:PLAYED]),
        **{
            name: digest(_episode(task, baseline, goal) for goal in goals[:PLAYED])
            for name, baseline in task.baselines.items()
        },
    }
    return {
        RAW: digest(path.read_text() for path in raw),
        "digests": found,
        "versions": versions(),
        "walks": _written(walks),
    }


def _contents(folder: Path, manifest: dict[str, Any]) -> Iterable[Any]:
    """What a shop's manifest and files are called and what its tables hold, not the bytes of Arrow and Lucene."""
    yield sorted(manifest)
    yield sorted(path.name for path in folder.iterdir())
    for name in (PRODUCTS, GOALS):
        with pa.memory_map(str(folder / name)) as file:
            table = pa.ipc.open_file(file).read_all()
            yield str(table.schema.remove_metadata())
            yield from table.to_pylist()


def _chosen(task: WebShop, agent: Baseline, goal: int) -> list[int]:
    return [step.chosen for step in scripted_episode(task, goal, agent, author="a").steps]


def _episode(task: WebShop, agent: Baseline, goal: int) -> list[Any]:
    """What an agent does and what it gets: actions, not words, which are the decisions'."""
    played = scripted_episode(task, goal, agent, author="a")
    return [goal, [step.actions[step.chosen] for step in played.steps], played.reward, played.done]


def _decisions(task: WebShop, goal: int, walk: list[int]) -> list[Any]:
    """All that is shown on a walk: states, choices and their kinds."""
    session, found = task.session(goal), []
    for chosen in walk:
        found.append([asdict(session.decision), chosen])
        session.choose(chosen)
    return found


def unraised(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed under an old version: one line each, with the constant to raise."""
    if before[RAW] != now[RAW]:
        return []  # of other products all is otherwise
    return [
        f"{name} is not what version {before['versions'][name]} stands for: raise {CONSTANTS[name]}, then {WRITE}"
        for name, value in before["digests"].items()
        if value != now["digests"].get(name) and before["versions"][name] == now["versions"].get(name)
    ]


def main() -> None:
    """Write digests.json, or say what must be raised first."""
    before = json.loads(DIGESTS.read_text()) if DIGESTS.is_file() else None
    with tempfile.TemporaryDirectory() as work:
        now = golden(Path(work))
    if before and (said := unraised(before, now | _with_walks(before, now))):
        sys.exit("\n".join(said))
    DIGESTS.write_text(json.dumps(now, indent=1) + "\n")


def _with_walks(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The digests with the decisions of the walks before: another shopper walks elsewhere."""
    if before["walks"] == now["walks"]:
        return {}
    with tempfile.TemporaryDirectory() as work:
        return golden(Path(work), walks_of(before))


def walks_of(found: dict[str, Any]) -> list[list[int]]:
    """The choices of each walk."""
    return [[int(choice) for choice in walk.split()] for walk in found["walks"]]


def _written(walks: list[list[int]]) -> list[str]:
    return [" ".join(map(str, walk)) for walk in walks]


if __name__ == "__main__":
    main()
