"""Train a policy by imitation of recorded trajectories, starting from a pretrained encoder.

python jobs/imitate.py --shop shops/demo --trajectories runs/demo/demonstrations --out runs/demo/imitation
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from algorithms.imitation.settings import ImitationSettings
from algorithms.runs.run_folder import begun
from algorithms.runs.training_flags import RECORDED_INCIDENTAL as INCIDENTAL
from algorithms.runs.training_flags import RecordedTrainingArguments
from policies.bert.encoder_folder import BUNDLED
from rl_recsys.console.command import run_job
from rl_recsys.console.progress import phase
from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import DEFAULT_TYPE
from rl_recsys.core.text_encoding import TOKENS, EncodingShape
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, place_of

FRESH = ("encoder", "apart_layers", *EncodingShape.__dataclass_fields__)  # flags of a fresh policy


@dataclass(kw_only=True)
class Arguments(ImitationSettings, RecordedTrainingArguments):
    """Imitation."""

    trajectories: Place
    """Folder of the trajectories to imitate."""
    policy_type: str = DEFAULT_TYPE
    """What a fresh policy is: bert_choice, or a type that another package offers (docs/extend.md)."""
    policy_settings: tuple[str, ...] = ()
    """Settings of a fresh policy as NAME=VALUE, for types that have others than the flags below."""
    encoder: str = BUNDLED
    """Pretrained BERT: "minilm" (bundled), a local folder, or a name on the Hugging Face hub."""
    apart_layers: Annotated[int | None, COUNT_OR_ZERO] = None
    """Layers of a fresh policy's encoder that read each segment of a state by itself; by default two thirds of them."""
    state_tokens: Annotated[int, TOKENS] = EncodingShape.state_tokens
    """Tokens of a page, the instruction among them, that a fresh policy reads; a longer page is cut, and goals and
    episodes with a longer instruction are left out."""
    choices: Annotated[int, COUNT] = EncodingShape.choices
    """Actions of a page that a fresh policy can choose between."""
    choice_tokens: Annotated[int, TOKENS] = EncodingShape.choice_tokens
    """Tokens of an action, a product's title say, that a fresh policy reads; a longer one is cut."""
    policy: Place | None = None
    """Policy folder to start from, instead of a fresh head on --encoder."""

    def validate(self) -> None:
        """A policy that is gone on with has its shape."""
        super().validate()
        if self.policy is not None and (given := self.fresh_settings()):
            raise UserError(f"--{next(iter(given)).replace('_', '-')} is a fresh policy's: --policy has its own")

    def fresh_settings(self) -> dict[str, Any]:
        """The settings of a fresh policy that were given, by name."""
        given = {name: getattr(self, name) for name in FRESH if getattr(self, name) != getattr(type(self), name)}
        for setting in self.policy_settings:
            name, separator, value = setting.partition("=")
            if not (separator and name):
                raise UserError(f"--policy-settings {setting!r}: write NAME=VALUE")
            try:
                given[name] = json.loads(value)
            except ValueError:
                given[name] = value  # a text needs no quotes
        return given


@writes_to_its_out("imitate")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    import torch

    from algorithms.imitation import ImitationConfig
    from algorithms.runs.training_job import configure, run
    from policies.base import fresh_policy

    start = arguments.policy
    if start is None:
        start = arguments.out / "start"
        if not (begun(arguments.out) and start.is_dir()):  # else the flags are compared before anything is written
            torch.manual_seed(arguments.seed)
            with phase(f"making a fresh policy, {arguments.policy_type}"):
                policy = fresh_policy(arguments.policy_type, arguments.open_task(), arguments.fresh_settings())
            policy.save_pretrained(start)
    config = configure(ImitationConfig(), arguments, start)
    shown = {"learners/imitation_loss": "loss {:.3f}", "learners/agreement": "agreement {:.1%}"}
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
