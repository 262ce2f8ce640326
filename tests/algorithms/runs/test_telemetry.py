"""What a run shows of itself while it goes on."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
import ray
from ray.util.metrics import Gauge
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from algorithms.runs.grafana import GRAFANA, dashboard
from algorithms.runs.telemetry import METRICS, TENSORBOARD, Watching, tracker
from algorithms.runs.training_run import Schedule, TrainingRun
from rl_recsys.errors import UserError
from tests.algorithms.runs.test_training_run import dpo

pytestmark = pytest.mark.usefixtures("ray_session")


def points(folder, figure: str) -> list[tuple[int, float]]:
    """(iteration, value) of a figure as TensorBoard reads it."""
    events = EventAccumulator(str(folder / TENSORBOARD)).Reload()
    return [(event.step, event.value) for event in events.Scalars(figure)]


def exported() -> str:
    """All metrics of this Ray, as Prometheus reads them."""
    (node,) = (node for node in ray.nodes() if node["Alive"])
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def test_a_run_shows_its_rows_in_tensorboard_and_as_metrics_of_ray(policy_folder, tmp_path, task):
    config = dpo(policy_folder, None, 0.0).training(preferences="rollouts", task=task.spec, group_size=4)
    run = TrainingRun(tmp_path / "study" / "dpo", {"kind": "watched"})
    run.open()
    run.train(config, Schedule(2, 1, headline=str))
    first, second = run.rows
    for row in run.rows:
        assert 0 <= row["rollouts/success"] <= 1 and 1 <= row["rollouts/steps"] <= 15
        assert 0 <= row["rollouts/parts/r_type"] <= 1
        assert row["rollouts/num_env_steps_sampled"] > 0 and row["learners/tokens_per_second"] > 0
    assert first["learners/tokens"] != second["learners/tokens"]  # an iteration's, not all until then
    assert points(run.folder, "learners/dpo_loss") == [
        (row["iteration"], pytest.approx(row["learners/dpo_loss"])) for row in run.rows
    ]
    of_the_run = r'\{[^}]*algorithm="DPO"[^}]*run="study/dpo"[^}]*\} ([0-9.e-]+)'

    def all_there() -> bool:
        found = {name: re.search(f"ray_rl_recsys_{name}{of_the_run}", shown) for name in ("success", "loss")}
        found["seconds"] = re.search(f"ray_rl_recsys_iteration_seconds{of_the_run}", shown)
        return all(found.values()) and float(found["success"][1]) == pytest.approx(second["rollouts/success"])

    deadline = time.monotonic() + 60  # Ray exports every ten seconds
    while not (shown := exported()) or not all_there():
        assert time.monotonic() < deadline, [line for line in shown.splitlines() if "rl_recsys" in line]
        time.sleep(1)


def test_figures_stay_metrics_until_there_are_new_ones(tmp_path, monkeypatch):
    told, setting = [], Gauge.set

    def tell(gauge: Gauge, value: float, tags: dict) -> None:
        told.append((gauge.info["name"].removeprefix("rl_recsys_"), value))
        setting(gauge, value, tags)

    def until(figure: tuple[str, float]) -> None:
        deadline = time.monotonic() + 20
        told.clear()
        while figure not in told:
            assert time.monotonic() < deadline, told
            time.sleep(0.01)

    monkeypatch.setattr(Gauge, "set", tell)
    monkeypatch.setattr("algorithms.runs.telemetry.AGAIN_S", 0.02)
    with Watching(tmp_path, "DPO", {}) as watching:
        watching.log({"iteration": 1, "evaluation/success": 0.5})
        until(("evaluation_success", 0.5))
        watching.log({"iteration": 2, "evaluation/success": 0.75})
        until(("evaluation_success", 0.75))
        watching.log({"iteration": 3})
        until(("evaluation_success", 0.75))
        assert ("evaluation_success", 0.5) not in told and ("iteration", 2.0) not in told
    told.clear()
    time.sleep(0.1)
    assert not told  # a run that ended shows nothing


def test_tensorboard_drops_what_is_done_again(tmp_path):
    with Watching(tmp_path, "DPO", {}) as watching:
        for iteration in (1, 2, 3):
            watching.log({"iteration": iteration, "loss": 1.0})
    time.sleep(1.1)  # TensorBoard orders files by the second
    with Watching(tmp_path, "DPO", {}, done=1) as watching:
        watching.log({"iteration": 2, "loss": 2.0})
    assert points(tmp_path, "loss") == [(1, 1.0), (2, 2.0)]


def test_every_metric_has_a_name_and_a_unit_of_its_own():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(re.fullmatch("[a-z_]+", metric.name) and len(metric.description) > 15 for metric in METRICS)
    assert all(("*" in metric.figure) == bool(metric.label) for metric in METRICS)


def test_the_grafana_board_shows_every_metric_and_is_the_one_in_the_docs():
    board = dashboard()
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert all(sum(f"ray_rl_recsys_{metric.name}{{" in query for query in queries) == 1 for metric in METRICS)
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places) and len({panel["id"] for panel in board["panels"]}) == len(places)
    written = Path(__file__).parents[3] / GRAFANA
    assert json.loads(written.read_text()) == board, f"python -m algorithms.runs.grafana writes {GRAFANA}"


def test_trackers_are_told_of_every_row(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with Watching(tmp_path / "run", "DPO", {"learning_rate": 1.0}, trackers=["mlflow"]) as watching:
        watching.log({"iteration": 1, "loss": 0.5})
    (found,) = mlflow.search_runs(experiment_names=["rl-recsys"]).to_dict("records")
    assert found["metrics.loss"] == 0.5 and json.loads(found["params.learning_rate"]) == 1.0


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray.air.integrations.wandb", None)
    with pytest.raises(UserError, match="--log-to wandb: .*pip install wandb"):
        tracker("wandb")
