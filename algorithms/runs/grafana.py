"""The Grafana board of this project's metrics, made from their list: python -m algorithms.runs.grafana writes it."""

from __future__ import annotations

from pathlib import Path

from algorithms.runs.telemetry import METRICS, PREFIX, Metric
from rl_recsys.storage.files import write_json

GRAFANA = Path("docs/cluster/grafana.json")
WIDTH, HEIGHT, COLUMNS = 8, 7, 3  # of a panel in Grafana's grid of 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}  # named as in Ray's own boards


def dashboard() -> dict:
    """The board as Grafana imports it: a panel for each metric, a line for each run."""
    return {
        "uid": "rl-recsys",
        "title": "rl-recsys training",
        "description": "Runs of jobs/imitate.py, jobs/ppo.py and jobs/dpo.py, by Ray's metrics",
        "tags": ["ray", "rl-recsys"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source(), _runs()]},
        "panels": [_panel(number, metric) for number, metric in enumerate(METRICS)],
    }


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
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": metric.name.replace("_", " "),
        "description": metric.description,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "targets": [
            {
                "refId": "A",
                "datasource": SOURCE,
                "expr": f'ray_{PREFIX}{metric.name}{{run=~"$run"}}',
                "legendFormat": legend,
            }
        ],
        "fieldConfig": {
            "defaults": {"custom": {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "spanNulls": True}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


if __name__ == "__main__":
    write_json(GRAFANA, dashboard())
