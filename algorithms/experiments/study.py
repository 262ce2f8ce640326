"""A study's size, arms and stages: what is trained from what, and which job does it with which flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from algorithms.dpo.loss_by_name import preference_loss
from algorithms.dpo.settings import DPOSettings
from algorithms.runs.run_folder import RESULTS as RUN_RESULTS
from algorithms.runs.run_folder import snapshot_folder
from policies.bert.encoder_folder import BUNDLED
from rl_recsys.core.outcome import MODES, Mode
from rl_recsys.core.policy_folder import DEFAULT_TYPE
from rl_recsys.core.task import DEFAULT_TASK, Task, task_class
from rl_recsys.evaluation.claims import RESULTS, TIMED, timed_arm
from rl_recsys.runs.pipeline import Stage

ITERATIONS = 30  # of a DPO run, at most: a point of its progress each
SPARE = 1.25  # times the demonstrations: not all of the scripted ones succeed, and only those are learnt from
PPO_EPOCHS = 2
PPO_STEPS = 2  # environment steps a use of a decision: a quarter of the pages leave a doubt, and each is used twice
PPO_SPARE = 4  # times the iterations that so many updates should need; the updates end the run. GRPO's too
GROUP_RATE = 3e-6  # GRPO's and GiGPO's learning rate: at PPO's of 1e-5 they stepped beyond the clip
GRPO_STEPS = 6  # the same for GRPO: groups in which all earn alike drop out as well
GROUP_SIZE, EPISODE_STEPS = 8, 8  # episodes of a goal in a group, steps of an episode, about
IMITATION_BATCH, IMITATION_UPDATES = 16, 10  # decisions an update, updates an iteration
LABEL_SMOOTHING, FINAL_RATE = 0.1, 0.1  # of DPO: without them margins grow for as long as it trains
EVALUATIONS = 8  # points of a learning curve, about
RATES = ("learning_rate", "head_rate")  # of trainings, where they are not the jobs' own
#: Seconds on one core of a laptop, for the time left only.
DECISION_S, PAIR_S, PPO_STEP_S, EPISODE_S, START_S = 0.14, 0.06, 0.04, 0.15, 25.0


Also = Literal["grpo", "gigpo"]  # arms that a study may have beside the paper's


@dataclass(frozen=True)
class Preset:
    """The size of a study. ``updates`` are those of every fine-tuning run, of ``batch`` pairs or decisions each."""

    needs: str
    shop: Path
    seeds: tuple[int, ...]
    demonstrations: int
    imitation_updates: int
    updates: int
    batch: int
    generated: int
    sizes: tuple[int, ...]
    """Other numbers of generated trajectories; the runs are made with the first seed."""
    minutes: tuple[float, ...]
    """Training times after which DPO and PPO are compared as well."""
    goals: int
    runs: int
    rollouts: int
    rollout_steps: int = 256
    ppo_rate: float = 1e-5
    """PPO's learning rate: lower where the batches are smaller, or it steps beyond its clip."""
    evaluation_goals: int = 50
    frozen_layers: int = 4
    num_gpus: float = 0
    modes: tuple[Mode, ...] = MODES
    """What the arms are evaluated by; both where there are sizes or minutes to compare."""


#: Shops that a study makes where they are not there, with the flags of jobs/prepare.py beside --out.
MADE_SHOPS: dict[Path, tuple[str, ...]] = {Path("shops/demo"): (), Path("shops/market"): ("--market",)}

PRESETS = {
    "smoke": Preset(
        needs="a minute or two with a tiny encoder; shows that everything runs",
        shop=Path("shops/demo"), seeds=(0,), demonstrations=30, imitation_updates=20, updates=8, batch=4, generated=3,
        sizes=(2,), minutes=(0.001,), goals=12, runs=2, rollouts=20, rollout_steps=32, evaluation_goals=4,
        frozen_layers=0,
    ),
    "demo": Preset(
        needs="12 to 30 minutes on two cores; the demo shop",
        shop=Path("shops/demo"), seeds=(0,), demonstrations=2000, imitation_updates=300, updates=200, batch=8,
        generated=100, sizes=(), minutes=(), goals=200, runs=2, rollouts=250,
    ),
    "market": Preset(
        needs="reckoned: about 4.5 hours on two cores; the market, with the goals and seeds that 2 points need",
        shop=Path("shops/market"), seeds=tuple(range(8)), demonstrations=2000, imitation_updates=300, updates=200,
        batch=8, generated=100, sizes=(), minutes=(), goals=2400, runs=2, rollouts=250,
        modes=MODES[:1],
    ),
    "laptop": Preset(
        needs="two to three hours on two cores; the real 1,000 products",
        shop=Path("shops/webshop-1k"), seeds=(0, 1, 2), demonstrations=1200, imitation_updates=400, updates=3000,
        batch=4, generated=100, sizes=(25, 50, 200, 400), minutes=(2, 5, 10), goals=500, runs=4, rollouts=1000,
        ppo_rate=3e-6,
    ),
    "paper": Preset(
        needs="a T4, 16 GB of memory and a day; the full catalogue with human goals, prepared by jobs/prepare.py",
        shop=Path("shops/webshop"), seeds=(0, 1, 2), demonstrations=1200, imitation_updates=3000, updates=3000,
        batch=16, generated=100, sizes=(25, 50, 200, 400), minutes=(10, 30, 60), goals=500, runs=4, rollouts=1000,
        rollout_steps=512, frozen_layers=0, num_gpus=1,
    ),
}  # fmt: skip


class StudyChoices(Protocol):
    """What a user chooses beside the preset's figures."""

    preset: str
    task: str | None
    recorded: Path | None
    policy_type: str
    policy_settings: tuple[str, ...]
    encoder: str
    loss: str
    learning_rate: float | None
    head_rate: float | None
    num_workers: int
    also: tuple[Also, ...]


class Plan:
    """The stages of a study and where each leaves what it makes: ``jobs``, a folder, has the scripts that they run.

    ``task``: the one that is played, None where it is the preset's shop, which the first stage makes.
    """

    def __init__(self, choices: StudyChoices, preset: Preset, out: Path, jobs: Path, task: Task | None):
        self._choices, self._preset, self._out, self._jobs, self._task = choices, preset, out, jobs, task
        self._world = ("--task", choices.task) if choices.task else ("--shop", preset.shop)
        self._baseline = list((task or task_class(DEFAULT_TASK)).baselines)[:1]
        self._prepare = () if task else ("prepare",)
        self._demonstrations = choices.recorded or self._out / "demonstrations"
        self._gpus = ("--num-gpus", preset.num_gpus) if preset.num_gpus else ()
        self._encoder: tuple[str, ...] = ("--encoder", choices.encoder)
        if choices.policy_type != DEFAULT_TYPE and choices.encoder == BUNDLED:
            self._encoder = ()  # another policy has none unless it was named
        self._learning_rate, self._head_rate = (
            () if getattr(choices, name) is None else (f"--{name.replace('_', '-')}", getattr(choices, name))
            for name in RATES
        )
        # The default has label smoothing: to look would keep torch in memory for as long as the stages run.
        smoothed = choices.loss == DPOSettings.loss or "label_smoothing" in preference_loss(choices.loss).settings
        self._label_smoothing = ("--label-smoothing", LABEL_SMOOTHING) if smoothed else ()
        self._also = tuple(dict.fromkeys(choices.also))
        named = "-".join(map(str, (*preset.seeds, *self._also)))
        self._thompson = self._out / f"thompson-seeds-{named}"  # other seeds or arms are another experiment

    def description(self) -> dict:
        """What the report must know and no result says."""
        arms = {arm: [self._run(arm, seed) for seed in seeds] for arm, seeds in self._arms().items()}
        choices = self._choices
        settings = {
            "preset": choices.preset,
            "task": choices.task,
            "policy_type": choices.policy_type,
            "policy_settings": choices.policy_settings or None,
            "encoder": choices.encoder if self._encoder else None,
            "loss": choices.loss,
            **asdict(self._preset),
            "learning_rate": choices.learning_rate,
            "head_rate": choices.head_rate,
            "num_workers": choices.num_workers,
            "also": self._also or None,
        }
        left_out = {"needs", "shop"} if choices.task else {"needs"}  # of the preset as it is, not of this study
        return {
            "recorded": self._demonstrations,
            "thompson": self._thompson,
            "arms": arms,
            "settings": {name: value for name, value in settings.items() if name not in left_out and value is not None},
        }

    def stages(self) -> Iterator[Stage]:
        """All stages, those that others need before them."""
        preset, out = self._preset, self._out
        if self._prepare:
            yield self._stage("prepare", "prepare", "--out", preset.shop, *MADE_SHOPS.get(preset.shop, ()))
        if self._choices.recorded is None:
            yield self._stage(
                "demonstrations", "demonstrate", *self._world, "--out", self._demonstrations,
                "--trajectories", self._demonstrated(), needs=self._prepare,
            )  # fmt: skip
        for seed in preset.seeds:
            yield from self._of_seed(seed)
        yield self._evaluation()
        yield self._stage(
            "thompson", "thompson", *self._world, "--out", self._thompson, "--policies", *self._baseline,
            *self._policies(self._arms()), "--runs", preset.runs, "--rollouts", preset.rollouts,
            "--goals", preset.goals, "--truth", out / "evaluation" / RESULTS, *self._workers(),
            needs=("evaluation",), minutes=preset.runs * preset.rollouts * EPISODE_S / 60,
        )  # fmt: skip
        yield self._stage("report", "report", "--study", out, needs=("thompson",))

    def _demonstrated(self) -> int:
        """How many demonstrations to record: each is of another training goal."""
        wanted = round(self._preset.demonstrations * SPARE)
        return min(wanted, len(self._task.split("train"))) if self._task else wanted

    def _of_seed(self, seed: int) -> Iterator[Stage]:
        preset = self._preset
        recorded = ("--trajectories", self._demonstrations, "--maximum-trajectories", preset.demonstrations)
        after = ("demonstrations",) if self._choices.recorded is None else self._prepare
        iterations = max(1, preset.imitation_updates // IMITATION_UPDATES)
        yield self._training(
            "imitation", seed, "imitate", iterations, preset.imitation_updates * IMITATION_BATCH * DECISION_S,
            *recorded, *self._fresh_policy(), "--batch", IMITATION_BATCH, "--updates", IMITATION_UPDATES,
            *self._learning_rate, needs=after,
        )  # fmt: skip
        start = ("--policy", self._policy("imitation", seed))
        snapshots = ("--snapshot-minutes", *preset.minutes) if preset.minutes else ()
        steps = PPO_STEPS * preset.updates * preset.batch
        expected = -(-steps // preset.rollout_steps)
        yield self._training(
            "ppo", seed, "ppo", PPO_SPARE * expected, steps * PPO_STEP_S, *start, *snapshots,
            "--updates", preset.updates, "--rollout-steps", preset.rollout_steps, "--batch", preset.batch,
            "--learning-rate", preset.ppo_rate, "--epochs", PPO_EPOCHS,
            "--num-workers", self._choices.num_workers, needs=(f"imitation-{seed}",), expected=expected,
        )  # fmt: skip
        for arm in self._also:
            yield self._grpo(arm, seed, *start, *snapshots, needs=(f"imitation-{seed}",))
        yield self._dpo("dpo", seed, *start, *recorded, *snapshots, needs=(f"imitation-{seed}",))
        sizes = preset.sizes if seed == preset.seeds[0] else ()
        most = max((preset.generated, *sizes))
        yield self._generation("generated", seed, "imitation", most)
        generated = ("--trajectories", self._folder(seed) / "generated")
        for size in (preset.generated, *sizes):
            name = "dpo-generated" if size == preset.generated else f"dpo-size-{size}"
            yield self._dpo(
                name, seed, *start, *generated, "--maximum-trajectories", size, needs=(f"generated-{seed}",)
            )  # fmt: skip
        yield self._generation("generated-on-top", seed, "dpo", preset.generated)
        yield self._dpo(
            "dpo-on-top", seed, "--policy", self._policy("dpo", seed),
            "--trajectories", self._folder(seed) / "generated-on-top", needs=(f"generated-on-top-{seed}",),
        )  # fmt: skip
        yield self._dpo("dpo-again", seed, "--policy", self._policy("dpo", seed), *recorded, needs=(f"dpo-{seed}",))

    def _grpo(self, arm: Also, seed: int, *flags: object, needs: tuple[str, ...]) -> Stage:
        preset = self._preset
        groups = max(2, preset.rollout_steps // (GROUP_SIZE * EPISODE_STEPS))
        steps = GRPO_STEPS * preset.updates * preset.batch
        expected = -(-steps // (groups * GROUP_SIZE * EPISODE_STEPS))
        rate = self._choices.learning_rate if self._choices.learning_rate is not None else GROUP_RATE
        return self._training(
            arm, seed, "grpo", PPO_SPARE * expected, steps * PPO_STEP_S, *flags, "--algorithm", arm,
            "--updates", preset.updates, "--groups", groups, "--group-size", GROUP_SIZE, "--batch", preset.batch,
            "--learning-rate", rate, "--epochs", PPO_EPOCHS,
            "--num-workers", self._choices.num_workers, needs=needs, expected=expected,
        )  # fmt: skip

    def _dpo(self, name: str, seed: int, *flags: object, needs: tuple[str, ...]) -> Stage:
        preset = self._preset
        iterations = max(count for count in range(1, ITERATIONS + 1) if preset.updates % count == 0)
        return self._training(
            name, seed, "dpo", iterations, preset.updates * preset.batch * PAIR_S, *flags,
            "--batch", preset.batch, "--updates", preset.updates // iterations,
            *self._label_smoothing, "--final-rate", FINAL_RATE,
            *(("--loss", self._choices.loss) if self._choices.loss != DPOSettings.loss else ()), *self._learning_rate,
            needs=needs,
        )  # fmt: skip

    def _training(
        self,
        name: str,
        seed: int,
        job: str,
        iterations: int,
        seconds: float,
        *flags: object,
        needs: tuple[str, ...],
        expected: int | None = None,
    ) -> Stage:
        """``expected``: how many of the ``iterations`` it takes to the last update, about; by default all."""
        preset = self._preset
        out = self._run(name, seed)
        rows = expected or iterations
        return self._stage(
            f"{name}-{seed}", job, *self._world, "--out", out, "--seed", seed, "--iterations", iterations, *flags,
            "--frozen-layers", preset.frozen_layers, "--evaluation-goals", preset.evaluation_goals,
            "--evaluate-every", max(1, rows // EVALUATIONS), *self._gpus, *self._head_rate,
            needs=needs, minutes=(seconds + START_S) / 60, rows=out / RUN_RESULTS, iterations=rows,
        )  # fmt: skip

    def _generation(self, name: str, seed: int, arm: str, count: int) -> Stage:
        return self._stage(
            f"{name}-{seed}", "generate", *self._world, "--policy", self._policy(arm, seed),
            "--out", self._folder(seed) / name, "--trajectories", count, "--seed", seed, *self._workers(),
            needs=(f"{arm}-{seed}",), minutes=(2 * count * EPISODE_S + START_S) / 60,
        )  # fmt: skip

    def _evaluation(self) -> Stage:
        """The arms, the other sizes, and DPO, PPO and GRPO as they were after given minutes."""
        preset = self._preset
        policies = [*self._policies(self._arms()), *self._policies(self._sizes())]
        policies += [
            f"{timed_arm(arm, minutes)}={snapshot_folder(self._run(arm, seed), minutes)}"
            for minutes in preset.minutes
            for arm in TIMED
            if arm in self._arms()
            for seed in preset.seeds
        ]
        trained = {**self._arms(), **self._sizes()}
        return self._stage(
            "evaluation", "evaluate", *self._world, "--out", self._out / "evaluation", "--goals", preset.goals,
            "--policies", *policies, *self._workers(), *(() if preset.modes == MODES else ("--modes", *preset.modes)),
            needs=tuple(f"{arm}-{seed}" for arm, seeds in trained.items() for seed in seeds),
            minutes=len(preset.modes) * len(policies) * preset.goals * EPISODE_S / 60,
        )  # fmt: skip

    def _arms(self) -> dict[str, tuple[int, ...]]:
        """Every trained arm and its seeds."""
        names = ("imitation", "ppo", *self._also, "dpo", "dpo-generated", "dpo-on-top", "dpo-again")
        return dict.fromkeys(names, self._preset.seeds)

    def _sizes(self) -> dict[str, tuple[int, ...]]:
        """DPO on other numbers of generated trajectories."""
        return {f"dpo-size-{size}": self._preset.seeds[:1] for size in self._preset.sizes}

    def _fresh_policy(self) -> tuple[object, ...]:
        """The flags of what imitation begins with."""
        choices = self._choices
        return (
            *(("--policy-type", choices.policy_type) if choices.policy_type != DEFAULT_TYPE else ()),
            *self._encoder,
            *(("--policy-settings", *choices.policy_settings) if choices.policy_settings else ()),
        )

    def _policies(self, arms: Mapping[str, Sequence[int]]) -> list[str]:
        return [f"{arm}={self._policy(arm, seed)}" for arm, seeds in arms.items() for seed in seeds]

    def _folder(self, seed: int) -> Path:
        return self._out / f"seed-{seed}"

    def _run(self, arm: str, seed: int) -> Path:
        return self._folder(seed) / arm

    def _policy(self, arm: str, seed: int) -> Path:
        return self._run(arm, seed) / "policy"

    def _workers(self) -> tuple[object, ...]:
        return "--num-workers", self._choices.num_workers, *self._gpus

    def _stage(self, name: str, job: str, *flags: object, **options: object) -> Stage:
        return Stage(name, tuple(map(str, (self._jobs / f"{job}.py", *flags))), **options)
