"""The flags that say in which world a job plays."""

from __future__ import annotations

from dataclasses import dataclass

from rl_recsys.console.command import Flags
from rl_recsys.core.task import Task, open_task, task_of_shop
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place

#: The setting of run folders that says which world a run was made in; it had this name when there was but one.
FINGERPRINT = "shop_fingerprint"


@dataclass(kw_only=True)
class TaskFlags(Flags):
    """Which world."""

    shop: Place | None = None
    """Shop folder made by jobs/prepare.py; short for --task webshop:FOLDER."""
    task: str | None = None
    """The world, as NAME:PLACE: WebShop's shops, or a task of another package (docs/extend.md)."""

    def validate(self) -> None:
        """One world must be named."""
        super().validate()
        if (self.shop is None) == (self.task is None):
            raise UserError("name the world: --shop FOLDER, or --task NAME:PLACE, and not both")

    @property
    def spec(self) -> str:
        """What ``open_task`` takes."""
        return task_of_shop(self.shop) if self.task is None else self.task

    def open_task(self) -> Task:
        """The world. Raises ``UserError``."""
        return open_task(self.spec)
