"""An episode by AgentGym's own client, whose address alone is another: python agentgym_client.py ADDRESS.

Its package (agentenv, of the repository WooooDyy/AgentGym) must be on PYTHONPATH.
"""

from __future__ import annotations

import re
import sys

from agentenv.envs import WebshopEnvClient

client = WebshopEnvClient(env_server_base=sys.argv[1] + "/agentgym", data_len=200)
observation, _ = client.reset(3)
assert observation == client.observe()
print(observation)
words = " ".join(observation.split(" [SEP] ")[2].split()[:6])
page = client.step(f"Thought:\nI should search.\n\nAction:\nsearch[{words}]")
product = re.search(r"B0\w{8}", page.state)[0]
print("a reply that is no action:", client.step("click on the first one").state[:15])
for action in (f"click[{product}]", "click[Buy Now]"):
    page = client.step(f"Thought:\nI go on.\n\nAction:\n{action}")
    print(action, "->", page.reward, page.done)
assert page.done, "the purchase ends the episode"
client.close()
