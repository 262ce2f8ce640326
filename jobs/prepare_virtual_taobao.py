"""Convert the networks of your own checkout of Virtual-Taobao into a folder of arrays that its world reads.

git clone https://github.com/eyounx/VirtualTaobao
python jobs/prepare_virtual_taobao.py VirtualTaobao --out worlds/virtual-taobao

Nothing but tensors is read from the files, and none of them is run. They have no licence: what is made of them is yours
to use and not to hand on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.terminal import say
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.locations import Place, place_of


@dataclass(kw_only=True)
class Arguments(Flags):
    """Convert Virtual-Taobao's networks."""

    checkout: Annotated[Path, tyro.conf.Positional]
    """Folder of the checkout, with virtualTB/data in it."""
    out: Place
    """Folder to write; networks that were converted there before are replaced."""
    any_networks: bool = False
    """Take other networks of the same form than those published, trained by yourself say."""


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Convert, and say what came out."""
    import torch

    from rl_recsys.virtual_taobao.conversion import convert

    def read(path: Path) -> dict:
        return {name: tensor.numpy() for name, tensor in torch.load(path, "cpu", weights_only=True).items()}

    weights = convert(arguments.checkout.expanduser(), arguments.out, read, any_networks=arguments.any_networks)
    place = place_of(arguments.out)
    say(f"{place}: {weights.called} (fingerprint {weights.fingerprint})")
    say("One constant action earns nearly all clicks there: docs/worlds/virtual-taobao.md says what can be learnt.")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
