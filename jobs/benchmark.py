"""Measure this project on this machine and print what it should reach beside what it does.

python jobs/benchmark.py shop --shop shops/webshop-1k --out benchmarks
python jobs/benchmark.py policy --policy runs/demo/seed-0/imitation/policy --shop shops/demo --out benchmarks
python jobs/benchmark.py learner --policy runs/demo/seed-0/imitation/policy --trajectories runs/demo/demonstrations
python jobs/benchmark.py scale --policy runs/demo/seed-0/imitation/policy --shop shops/demo --out benchmarks
python jobs/benchmark.py training-soak --policy runs/demo/seed-0/imitation/policy --shop shops/demo --out benchmarks
python jobs/benchmark.py serve --shop shops/demo --out benchmarks
python jobs/benchmark.py recommend --policy runs/demo/seed-0/imitation/policy --shops shops/demo --out benchmarks
python jobs/benchmark.py recogym --original-python original/bin/python --out benchmarks
python jobs/benchmark.py virtual-taobao --original-python original/bin/python --checkout VirtualTaobao --out benchmarks
python jobs/benchmark.py versions --against ../before --policy runs/demo/seed-0/imitation/policy --shop shops/demo \\
    --trajectories runs/demo/demonstrations --out benchmarks
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from algorithms.benchmarks.flags import (
    LearnerBenchmarkFlags,
    PolicyBenchmarkFlags,
    RecoGymBenchmarkFlags,
    RecommendBenchmarkFlags,
    ScaleBenchmarkFlags,
    ServeBenchmarkFlags,
    TrainingSoakFlags,
    VersionsBenchmarkFlags,
    VirtualTaobaoBenchmarkFlags,
)
from algorithms.benchmarks.recommender import recommender_figures
from rl_recsys.console.command import run_job
from rl_recsys.core.task import task_of_shop
from rl_recsys.runs.benchmarking import run_benchmark
from rl_recsys.runs.measurement import Figure
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.webshop import Shop
from rl_recsys.webshop.benchmark import shop_figures
from rl_recsys.webshop.benchmark_flags import ShopBenchmarkFlags

KINDS = {
    "shop": ShopBenchmarkFlags,
    "policy": PolicyBenchmarkFlags,
    "learner": LearnerBenchmarkFlags,
    "scale": ScaleBenchmarkFlags,
    "training-soak": TrainingSoakFlags,
    "serve": ServeBenchmarkFlags,
    "recommend": RecommendBenchmarkFlags,
    "recogym": RecoGymBenchmarkFlags,
    "virtual-taobao": VirtualTaobaoBenchmarkFlags,
    "versions": VersionsBenchmarkFlags,
}
Arguments = Union[*KINDS.values()]


@writes_to_its_out("benchmark")
def main(arguments: Arguments) -> None:
    """Measure, printing each figure when it is there, and write them."""
    name = next(name for name, flags in KINDS.items() if isinstance(arguments, flags))
    with tempfile.TemporaryDirectory() as work:
        table = run_benchmark(name, _figures(arguments, Path(work)), arguments.out)
    table.show()


def _figures(arguments: Arguments, work: Path) -> Iterator[Figure]:
    """Of the benchmark whose flags they are; what one needs is loaded once it has begun."""
    match arguments:
        case ShopBenchmarkFlags():
            Shop.open(arguments.shop).make_searches_start_faster()
            yield from shop_figures(
                arguments.shop, work, parts=arguments.parts, products=arguments.products,
                megabytes=arguments.megabytes, sessions=arguments.sessions,
            )  # fmt: skip
        case PolicyBenchmarkFlags():
            from policies.bert_choice.benchmark import policy_figures

            yield from policy_figures(arguments.policy, task_of_shop(arguments.shop), arguments.goals)
        case LearnerBenchmarkFlags():
            from algorithms.benchmarks.learner import learner_figures

            yield from learner_figures(arguments.policy, arguments.trajectories)
        case ScaleBenchmarkFlags():
            from algorithms.benchmarks.scale import scale_figures

            yield from scale_figures(
                arguments.policy, task_of_shop(arguments.shop), arguments.out, parts=arguments.parts,
                group_size=arguments.group_size, groups=arguments.groups, rounds=arguments.rounds,
                rollout_steps=arguments.rollout_steps, actors=arguments.actors, group_seconds=arguments.group_seconds,
            )  # fmt: skip
        case TrainingSoakFlags():
            from algorithms.benchmarks.soak import ppo_soak_figures

            yield from ppo_soak_figures(arguments, work)
        case ServeBenchmarkFlags():
            from algorithms.benchmarks.serve import serve_figures

            Shop.open(arguments.shop).make_searches_start_faster()
            yield from serve_figures(arguments)
        case RecommendBenchmarkFlags():
            yield from recommender_figures(arguments, work)
        case RecoGymBenchmarkFlags():
            from algorithms.benchmarks.recogym import recogym_figures

            yield from recogym_figures(arguments)
        case VirtualTaobaoBenchmarkFlags():
            from algorithms.benchmarks.virtual_taobao import virtual_taobao_figures

            yield from virtual_taobao_figures(arguments)
        case VersionsBenchmarkFlags():
            from algorithms.benchmarks.versions import version_figures

            yield from version_figures(arguments, work)


if __name__ == "__main__":
    run_job(main, KINDS, __doc__)
