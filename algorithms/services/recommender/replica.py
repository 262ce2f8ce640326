"""A replica of the recommender's application: one process that loads the world and the policies once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
import torch
from ray.exceptions import RayActorError, RayTaskError

from algorithms.services.recommender.deployment import LEDGER_ACTOR, NAMESPACE, Settings
from algorithms.services.recommender.metrics import Metrics
from algorithms.services.recommender.service import Recommender
from algorithms.services.recommender.web import make_app
from algorithms.services.server import Guard
from policies.base import load_policy
from rl_recsys.core.task import open_task
from rl_recsys.errors import UserError

if TYPE_CHECKING:
    from algorithms.services.server import App

MAX_BODY = 256 << 10  # bytes of a request: a batch of the longest ones


class Replica:
    """Made by Serve, which gives it the requests once it is made."""

    def __init__(self, settings: Settings, token: str | None, local: bool):
        torch.set_num_threads(settings.cores)
        task = open_task(settings.task)
        self._recommender = Recommender(
            task,
            {name: load_policy(place) for name, place in settings.policies.items()},
            ledger_by_name,
            episodes=settings.episodes,
            authors={name: str(place) for name, place in settings.policies.items()},
            at_once=settings.at_once,
            waiting=settings.waiting,
        )
        task.session(task.split("all")[0])  # what opens with the first session, as the search does, is open now
        self._token, self._local = token, local

    def __serve_build_asgi_app__(self) -> App:
        """The application behind the guard of every server here."""
        app = make_app(self._recommender, Metrics())
        return Guard(app, token=self._token, local=self._local, max_body=MAX_BODY)

    def check_health(self) -> None:
        """Raise where the replica must be replaced."""
        if not self._recommender.engine.is_alive:
            raise RuntimeError("the engine does not play")


async def ledger_by_name(method: str, *arguments: Any) -> Any:
    """Call the ledger, wherever in the cluster it runs. Raises what it raises."""
    try:
        return await getattr(ray.get_actor(LEDGER_ACTOR, NAMESPACE), method).remote(*arguments)
    except RayTaskError as error:
        raise error.cause from None
    except (RayActorError, ValueError) as error:
        raise UserError(f"the ledger cannot be reached ({type(error).__name__}); ask again in a moment") from error
