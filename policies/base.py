"""A policy: a network that gives each action of a decision a logit, and its folder on disk.

RLlib's module, the learners, rollouts and jobs know a policy by this file and by nothing else of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from policies.model_folder import blank_model, load_weights, meta_model, model_written
from rl_recsys.core.encoding import DecisionEncoder, decision_encoder_of
from rl_recsys.core.policy_folder import (
    CONFIG_FILE,
    DEFAULT_TYPE,
    ENCODER_TYPE,
    KIND,
    POLICY_TYPE,
    PolicyError,
    files_of_policy,
    policy_header,
    read_policy_config,
)
from rl_recsys.core.registry import POLICIES, RegistryError, load
from rl_recsys.core.task import Task
from rl_recsys.storage.locations import Place, inside

MASKED = -1e9  # the logit of an action that is not there: finite, so that a page without actions gives no NaN
ENCODER, HEAD = "encoder", "head"  # names of parameter groups


class Policy(nn.Module, ABC):
    """logits(decision) and value(decision). Another package's is found by an entry point of "rl_recsys.policies".

    A policy that was read from a folder has the ``decision_encoder`` whose arrays it reads; RLlib's modules, which get
    arrays, have none.
    """

    #: What a policy folder's config.json names it by.
    policy_type: ClassVar[str]
    decision_encoder: DecisionEncoder | None = None
    #: Where it was read from, for messages.
    name: str = "a policy in memory"
    #: What it computes in where nothing is learnt; None for what is fastest here. Logits are float32 in any case.
    precision: torch.dtype | None = None
    #: From ``encode`` to a state's value, as [B, 1]: a network that ends in a linear layer with a bias.
    value_head: nn.Module

    @classmethod
    @abstractmethod
    def fresh(cls, task: Task, **settings: Any) -> Policy:
        """An untrained policy for a task; ``settings`` are its own. Raises ``UserError``."""

    @classmethod
    @abstractmethod
    def blank(cls, config: Mapping[str, Any]) -> Policy:
        """A policy of the architecture that ``config`` gives, whose weights are to be set. Reads no file.

        It may be made on torch's meta device, where sizes are known and numbers are not. Raises TypeError, ValueError
        or KeyError for what is no config of this version.
        """

    @property
    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """The architecture as plain values: what ``blank`` takes and the decision encoder's ``of_policy`` reads."""

    #: Whether observations are best left on the host where the policy is on a GPU: it reads them there.
    reads_on_host = False

    @property
    @abstractmethod
    def state_size(self) -> int:
        """Features H of an encoded state."""

    @abstractmethod
    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(logits [B, A], encoded states [B, H]) of a decision encoder's arrays, stacked.

        The arrays lie where the policy does, or on the host (``reads_on_host``). Logits are float32, where the policy
        is, and ``MASKED`` where "mask" is 0. Where only some of the choices are given, "positions"
        [B, A] says at which places they stood.
        """

    @abstractmethod
    def encode(self, observation: Mapping[str, Tensor]) -> Tensor:
        """The encoded states [B, H] alone."""

    def value(self, states: Tensor) -> Tensor:
        """State values [B] of encoded states [B, H]."""
        return self.value_head(states).squeeze(-1).float()

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """What learners train, the value head aside: "encoder" at the learning rate, "head" at a multiple of it."""
        return {HEAD: [parameter for name, parameter in self.named_parameters() if not name.startswith("value_head.")]}

    @property
    def layers(self) -> int:
        """How many layers ``freeze`` can keep as they are."""
        return 0

    def freeze(self, layers: int) -> None:
        """Keep the lowest ``layers`` layers as they are, with what is beneath them; with 0 nothing is frozen."""

    def tokens_read(self, observation: Mapping[str, Tensor]) -> int:
        """How many tokens are read to score an observation, for throughput; 0 where a policy reads none."""
        return 0

    def share_encodings(self) -> None:
        """Keep, from now on, what policies of this process with equal lower layers have encoded."""

    def forget_encodings(self) -> None:
        """Keep nothing between calls until the next one."""

    def without_reuse(self) -> Policy:
        """The policy computing everything anew in each call: what reuse is measured against."""
        return self

    def architecture(self) -> dict[str, Any]:
        """All that ``blank_policy`` needs."""
        return {POLICY_TYPE: self.policy_type, **self.config}

    def save_pretrained(self, folder: str | Path, *, training: Mapping | None = None) -> None:
        """Write a policy folder: weights, config, the decision encoder's files, how it was trained, and by what.

        It is written aside and renamed, so a folder of this name is whole.
        """
        config = self.architecture() | {ENCODER_TYPE: self.decision_encoder.encoder_type}
        with model_written(folder, self, config, training or {}, kind=KIND, unlisted=files_of_policy) as aside:
            self.decision_encoder.save(aside)


def precision_to_play(name: str) -> torch.dtype | None:
    """``Policy.precision`` of a setting's value: "auto", or the name of one of torch's types."""
    return None if name == "auto" else getattr(torch, name)


def policy_class(name: str) -> type[Policy]:
    """The class of a policy type. Raises ``RegistryError``."""
    return load(POLICIES, name)


def fresh_policy(name: str, task: Task, settings: Mapping[str, Any]) -> Policy:
    """An untrained policy of a type. Raises ``PolicyError`` for a setting that it does not have."""
    kind = policy_class(name)
    known = [setting for setting in signature(kind.fresh).parameters if setting != "task"]
    if unknown := [setting for setting in settings if setting not in known]:
        raise PolicyError(f"policy type {name!r} has no setting {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return kind.fresh(task, **settings)


def blank_policy(architecture: Mapping[str, Any]) -> Policy:
    """A policy of an architecture, whose weights are to be set."""
    config = dict(architecture)
    return policy_class(config.pop(POLICY_TYPE, DEFAULT_TYPE)).blank(config)


def read_architecture(folder: Place) -> dict[str, Any]:
    """The architecture of a policy folder's config.json. Raises ``PolicyError`` naming the file and the remedy."""
    return {name: value for name, value in read_policy_config(folder).items() if name != ENCODER_TYPE}


def unweighted_policy(folder: Place) -> Policy:
    """The policy of a folder with its decision encoder, whose weights are to be set. Raises as ``load_policy`` does."""
    config = read_policy_config(folder)
    policy = blank_model(folder, _maker(folder, config))
    policy.decision_encoder, policy.name = decision_encoder_of(folder, config), str(folder)
    return policy.eval()


def load_policy(folder: Place) -> Policy:
    """The policy of a folder, in eval mode. Needs no Ray. Raises ``PolicyError`` naming the file and the remedy."""
    policy = unweighted_policy(folder)
    load_weights(folder, policy)
    return policy


def freezable_layers(folder: Place) -> int:
    """How many layers the policy of a folder has to freeze."""
    return meta_model(folder, _maker(folder, read_policy_config(folder))).layers


def _maker(folder: Place, config: Mapping[str, Any]) -> Callable[[], Policy]:
    """What makes a policy of a folder's config, whose class is loaded by now: torch's device is not its modules'."""
    try:
        kind = policy_class(policy_header(folder, config).policy_type)
    except RegistryError as error:
        raise PolicyError(f"{inside(folder, CONFIG_FILE)}: {error}") from None
    return lambda: kind.blank(
        {name: value for name, value in config.items() if name not in (ENCODER_TYPE, POLICY_TYPE)}
    )
