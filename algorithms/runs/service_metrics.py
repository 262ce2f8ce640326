"""What the recommender's service shows of itself as Ray metrics; one board has them beside those of training runs."""

from __future__ import annotations

from typing import Literal, NamedTuple

PREFIX = "rl_recsys_recommender_"  # of the metrics' names; Ray puts "ray_" before it
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # bounds of the histogram


class ServiceMetric(NamedTuple):
    """A figure of the service. A counter is shown as what is added a second, a histogram as its 50 and 99 % points."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()


SERVICE_METRICS = (
    ServiceMetric("requests", "counter", "Requests by route and status", ("route", "status")),
    ServiceMetric("seconds", "histogram", "Seconds from a request to the end of its answer", ("route",)),
    ServiceMetric("first_seconds", "histogram", "Seconds from a request to the search's list, of streams"),
    ServiceMetric("waiting", "gauge", "Requests none or only some of whose sessions have begun"),
    ServiceMetric("playing", "gauge", "Requests with sessions under way"),
    ServiceMetric("feedback", "counter", "Lists reported on, by policy and what became of them", ("policy", "outcome")),
)
