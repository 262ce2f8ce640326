"""The Grafana board of this project's metrics, made from their list: python -m algorithms.runs.grafana writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from algorithms.runs import service_metrics
from algorithms.runs.service_metrics import SERVICE_METRICS, ServiceMetric
from algorithms.runs.telemetry import METRICS, PREFIX, Metric
from rl_recsys.storage.files import write_json

GRAFANA = Path("docs/cluster/grafana.json")
WIDTH, HEIGHT, COLUMNS = 8, 7, 3  # of a panel in Grafana's grid of 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}  # named as in Ray's own boards


def dashboard() -> dict:
    """The board as Grafana imports it: a panel for each metric, a line for each run."""
    return {
        "uid": "rl-recsys",
        "title": "rl-recsys",
        "description": "Runs of jobs/imitate.py, ppo.py and dpo.py, and jobs/serve_recommender.py, by Ray's metrics",
        "tags": ["ray", "rl-recsys"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source(), _runs()]},
        "panels": _panels(),
    }


def _panels() -> list[dict]:
    """Those of training runs, and below them a row of those of the recommender's service."""
    panels = [_panel(number, metric) for number, metric in enumerate(METRICS)]
    below = HEIGHT * -(-len(METRICS) // COLUMNS)
    place = {"x": 0, "y": below, "w": WIDTH * COLUMNS, "h": 1}
    panels.append({"id": len(METRICS) + 1, "type": "row", "title": "Recommender", "gridPos": place, "panels": []})
    return panels + [_service_panel(number, metric, below + 1) for number, metric in enumerate(SERVICE_METRICS)]


def _source() -> dict:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _runs() -> dict:
    query = f"label_values(ray_{PREFIX}iteration, run)"
    return {
        "name": "run",
        "label": "Run",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "runs"},
        "definition": query,
        "refresh": 2,  # whenever the time range changes
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _panel(number: int, metric: Metric) -> dict:
    legend = "{{run}}" + (f" {{{{{metric.label}}}}}" if metric.label else "")
    queries = {f'ray_{PREFIX}{metric.name}{{run=~"$run"}}': legend}
    return _series(number, number, 0, metric.name.replace("_", " "), metric.description, queries)


def _service_panel(number: int, metric: ServiceMetric, below: int) -> dict:
    name = f"ray_{service_metrics.PREFIX}{metric.name}"
    labels = ", ".join(metric.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels)
    if metric.kind == "gauge":
        queries = {f"sum({name})": metric.name}
    elif metric.kind == "counter":
        queries = {f"sum by ({labels}) (rate({name}_total[1m]))": legend}
    else:
        by = ", ".join(("le", *metric.labels))
        queries = {
            f"histogram_quantile({point}, sum by ({by}) (rate({name}_bucket[5m])))": f"{point:.0%} {legend}".strip()
            for point in (0.5, 0.99)
        }
    title = f"recommender {metric.name.replace('_', ' ')}"
    return _series(len(METRICS) + 1 + number, number, below, title, metric.description, queries)


def _series(number: int, place: int, below: int, title: str, description: str, queries: Mapping[str, str]) -> dict:
    """A panel, the ``place``-th of those ``below`` a line; ``queries`` have their legends."""
    row, column = divmod(place, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": below + row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(queries.items())
        ],
        "fieldConfig": {
            "defaults": {"custom": {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "spanNulls": True}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


if __name__ == "__main__":
    write_json(GRAFANA, dashboard())
