"""An episode by OpenEnv's own client, which knows nothing of this project: python openenv_client.py ADDRESS.

Runs with openenv 0.10.0 and with openenv-core 0.3.0.
"""

from __future__ import annotations

import sys

from openenv.core.generic_client import GenericEnvClient

address = sys.argv[1]
with GenericEnvClient(base_url=address).sync() as env:
    result = env.reset(goal=3, observation_mode="text")
    print(result.observation["instruction_text"])
    words = " ".join(result.observation["instruction_text"].split()[:6])
    for action in (f"search[{words}]", "click[{product}]", "click[buy now]"):
        labels = result.observation["available_actions"]["clickables"]
        product = next((label for label in labels if label.startswith("b0")), "")
        result = env.step({"action": action.format(product=product)})
        print(action.format(product=product), "->", result.reward, result.done)
    assert result.done, "the purchase ends the episode"
    state = env.state()
    print("state:", {name: state[name] for name in ("episode_id", "step_count", "done")})
    try:
        env.step({"action": "click[buy now]"})
    except RuntimeError as error:
        print("after the end:", error)
    print("again:", env.reset(seed=1, split="test").observation["instruction_text"])
