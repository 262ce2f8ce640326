"""The same rule as a process that speaks JSON lines; any language can do this.

python jobs/evaluate_agent.py --shop shops/demo --process "python docs/agents/rule_process.py" --name rule --out runs/p
"""

from __future__ import annotations

import json
import sys

from rule_agent import act

for line in sys.stdin:
    asked = json.loads(line)
    action = act(asked["observation"], asked["available_actions"])
    print(json.dumps({"action": action}), flush=True)
