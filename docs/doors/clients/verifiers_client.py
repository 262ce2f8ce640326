"""An episode by verifiers' OpenEnv task set: python verifiers_client.py ADDRESS. Who plays is a script, no model."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace

from verifiers.v1.tasksets.openenv.taskset import OpenEnvConfig, OpenEnvEnv, OpenEnvTaskset

rewards = {}


class Player:
    """Answers with bare actions, as a model may where the action's schema has one required field."""

    trace = SimpleNamespace(record_reward=rewards.__setitem__, stop=print)

    def __init__(self) -> None:
        self.turns = 0

    async def turn(self, shown: str) -> SimpleNamespace:
        """The next action for what is shown."""
        observed = json.loads(shown)["observation"]
        labels = observed["available_actions"]["clickables"]
        product = next((label for label in labels if label.startswith("b0")), "")
        words = " ".join(observed["instruction_text"].split()[:6])
        action = (f"search[{words}]", f"click[{product}]", "click[buy now]")[self.turns]
        self.turns += 1
        print(action)
        return SimpleNamespace(terminated=False, last_reply=action)


@asynccontextmanager
async def interaction(_task):
    """A conversation with the player."""
    yield Player()


taskset = OpenEnvTaskset(OpenEnvConfig(base_url=sys.argv[1], resets=[{"goal": 3}, {"split": "test", "index": 0}]))
for task in taskset.load():
    asyncio.run(OpenEnvEnv.run(None, task, SimpleNamespace(player=SimpleNamespace(interaction=interaction))))
    print(task.data.name, rewards)
    assert 0 <= rewards.pop("openenv_reward") <= 1
