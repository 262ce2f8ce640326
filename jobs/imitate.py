"""Train a policy by imitation of recorded trajectories, starting from a pretrained encoder.

python jobs/imitate.py --shop shops/demo --trajectories runs/demo/demonstrations --out runs/demo/imitation
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.arguments import GOES_ON, TrainingArguments
from policies.encoder_folder import BUNDLED, encoder_folder
from rl_recsys.command import run_job
from rl_recsys.encoding import EncodingShape
from rl_recsys.outputs import writes_to_its_out
from rl_recsys.progress import phase
from rl_recsys.storage import Place, absolute, place_of
from rl_recsys.terminal import say


@dataclass(kw_only=True)
class Arguments(TrainingArguments):
    """Imitation."""

    trajectories: Place
    """Folder of the trajectories to imitate."""
    iterations: int = 30
    """Iterations in all; an iteration is one line of result.json."""
    learning_rate: float = 3e-5
    """Adam's rate for the encoder."""
    final_rate: float = 0.1
    """The learning rate at the end as a share of --learning-rate; it falls in a straight line."""
    encoder: str = BUNDLED
    """Pretrained BERT: "minilm" (bundled), a local folder, or a name on the Hugging Face hub."""
    apart_layers: int | None = None
    """Layers of a fresh policy's encoder that read each segment of a state by itself; by default two thirds of them."""
    state_tokens: int = EncodingShape.state_tokens
    """Tokens of a fresh policy's state; goals and episodes whose instruction is longer are left out."""
    policy: Place | None = None
    """Policy folder to start from, instead of a fresh head on --encoder."""
    minimum_reward: float = 1.0
    """Imitate only episodes with at least this reward, in [0, 1]."""
    maximum_trajectories: int | None = None
    """Imitate only this many episodes, the first recorded."""
    updates: int = 10
    """Gradient steps an iteration."""


@writes_to_its_out("imitate")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    import torch

    from algorithms.imitation import ImitationConfig
    from algorithms.training_job import configure, run
    from policies.choice_model import ChoiceModel

    start = arguments.policy
    if start is None:
        start = arguments.out / "start"
        torch.manual_seed(arguments.seed)
        shape = EncodingShape(state_tokens=arguments.state_tokens)
        with phase(f"loading the encoder {arguments.encoder}"):
            model = ChoiceModel.from_encoder(arguments.encoder, shape, apart_layers=arguments.apart_layers)
        model.save_pretrained(start, tokenizer=encoder_folder(arguments.encoder))
    config = configure(ImitationConfig(), arguments, start, ticks=arguments.iterations * arguments.updates).training(
        trajectories=absolute(arguments.trajectories),
        minimum_reward=arguments.minimum_reward,
        maximum_trajectories=arguments.maximum_trajectories,
        updates_per_iteration=arguments.updates,
        train_batch_size_per_learner=arguments.batch,
    )
    shown = {"learners/imitation_loss": "loss {:.3f}", "learners/agreement": "agreement {:.1%}"}
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{GOES_ON}")
