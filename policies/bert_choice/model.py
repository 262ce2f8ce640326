"""The choice model: BERT reads the state and every available action; each action gets one logit, the state a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from policies.base import ENCODER, HEAD, MASKED, Policy
from policies.bert.bert import Bert, BertShape
from policies.bert.encoder_folder import BUNDLED, encoder_folder
from policies.bert.linear import Linear
from policies.bert.pretrained import load_encoder
from policies.bert.transfer import on_device, on_host
from policies.bert_choice.config import ChoiceConfig
from policies.bert_choice.interaction import Interaction
from policies.bert_choice.text_encoder import TextEncoder
from rl_recsys.core.task import Task
from rl_recsys.core.text_encoding import EncodingShape, TextDecisionEncoder


class BertChoice(Policy):
    """logits(state, actions) and value(state) over one shared BERT.

    The form of WebShop's choice model: the action's tokens attend over the state's, and what they find is compared
    with them and averaged to one logit. Attention is by cosine, and the best cosines of each action token within the
    instruction and within the rest of the state, and of each token of these within the action (how much of what is
    wanted a title covers), enter the logit directly, so that a pretrained sentence encoder chooses sensibly after a few
    hundred examples.
    """

    policy_type = "bert_choice"
    reads_on_host = True

    def __init__(self, config: ChoiceConfig, encoder: Bert | None = None):
        super().__init__()
        self._config = config
        bert = Bert.blank(BertShape.written(config.encoder, "encoder")) if encoder is None else encoder
        self.encoder = TextEncoder(bert, apart_layers=config.apart_layers, begin=config.begin, end=config.end)
        hidden = self.encoder.hidden_size
        self.scorer = Interaction(hidden, config)
        self.value_head = nn.Sequential(Linear(hidden, config.width), nn.Tanh(), Linear(config.width, 1))

    @classmethod
    def blank(cls, config: Mapping[str, Any]) -> BertChoice:
        """``config``: a ``ChoiceConfig``'s values."""
        return cls(ChoiceConfig.of(config))

    @classmethod
    def fresh(
        cls,
        task: Task,
        *,
        encoder: str = BUNDLED,
        state_tokens: int = EncodingShape.state_tokens,
        choices: int = EncodingShape.choices,
        choice_tokens: int = EncodingShape.choice_tokens,
        apart_layers: int | None = None,
        width: int = 128,
    ) -> BertChoice:
        """A policy on a pretrained encoder ("minilm", a folder or a hub name) with a fresh head.

        ``state_tokens``, ``choices``, ``choice_tokens``: see ``EncodingShape``. ``apart_layers`` is by default two
        thirds of the encoder's layers.
        """
        folder, shape = encoder_folder(encoder), EncodingShape(state_tokens, choices, choice_tokens)
        bert, texts = load_encoder(folder), TextDecisionEncoder(folder, shape, kinds=len(task.kinds))
        texts.require_room(folder, vocabulary=bert.shape.vocab_size, positions=bert.shape.max_position_embeddings)
        if apart_layers is None:
            apart_layers = 2 * bert.shape.num_hidden_layers // 3
        config = ChoiceConfig(
            bert.shape.to_mapping(), apart_layers, texts.begin, texts.end, task.decision_format, shape, width,
            task.name, len(task.kinds),
        )  # fmt: skip
        policy = cls(config, bert)
        texts.reads = task.name, task.decision_format
        policy.decision_encoder = texts
        return policy

    @property
    def config(self) -> Mapping[str, Any]:
        """A ``ChoiceConfig``'s values."""
        return asdict(self._config)

    @property
    def state_size(self) -> int:
        """The encoder's hidden size."""
        return self.encoder.hidden_size

    @property
    def precision(self) -> torch.dtype | None:
        """See ``Policy.precision``."""
        return self.encoder.precision

    @precision.setter
    def precision(self, value: torch.dtype | None) -> None:
        self.encoder.precision = value

    def encode(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Mean encodings of the state's tokens."""
        return self.encoder(observation["state"]).means

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The BERT's, as far as they are trained, and the interaction's."""
        bert = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        return {ENCODER: bert, HEAD: list(self.scorer.parameters())}

    @property
    def layers(self) -> int:
        """The BERT's."""
        return len(self.encoder.bert.layers)

    def freeze(self, layers: int) -> None:
        """Keep the embeddings and the first ``layers`` layers of the BERT as they are; with 0 nothing is frozen."""
        if layers:
            for part in (self.encoder.bert.embeddings, *self.encoder.bert.layers[:layers]):
                part.requires_grad_(False)

    def tokens_read(self, observation: Mapping[str, Tensor]) -> int:
        """Of the states and of all actions."""
        return sum(int((observation[name] != 0).sum()) for name in ("state", "actions"))

    def share_encodings(self) -> None:
        """See ``TextEncoder.share``: policies of one study have the same lower layers, where these were frozen."""
        self.encoder.share()

    def forget_encodings(self) -> None:
        """See ``TextEncoder.forget``: hundreds of megabytes."""
        self.encoder.forget()

    def without_reuse(self) -> BertChoice:
        """With an encoder that reads each text it is given, and keeps nothing."""
        from policies.bert_choice.benchmark import one_by_one

        return one_by_one(self)

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(logits [B, A], pooled states [B, H]) of a ``DecisionEncoder``'s arrays, stacked.

        Logits are float32 and ``MASKED`` where the mask is 0. The observation may also have "positions" [B, A], the
        actions' places on the page, where only some of a page's actions are given. The arrays are read on the host;
        where they lie there, nothing waits for a GPU.
        """
        state_ids, available = on_host(observation["state"]), on_host(observation["mask"]) != 0
        states = self.encoder(state_ids)
        device = states.tokens.device
        logits = torch.full(available.shape, MASKED, dtype=torch.float32, device=device)
        rows, columns = available.nonzero()
        if len(rows):
            positions = on_host(observation["positions"])[rows, columns] if "positions" in observation else columns
            texts = self.encoder(on_host(observation["actions"])[rows, columns])
            kinds, regions = on_host(observation["kinds"])[rows, columns], _regions(state_ids, self._config)
            with torch.autocast(device.type, enabled=False):  # it compares: small products, fine differences
                scored = self.scorer(states, regions, texts, rows, positions, kinds)
            logits = logits.index_put(tuple(on_device(device, rows, columns)), scored.float())
        return logits, states.means


def _regions(state_ids: np.ndarray, config: ChoiceConfig) -> np.ndarray:
    """Where states' tokens are the instruction's, and where they are another segment's [B, 2, S]."""
    content = (state_ids != 0) & (state_ids != config.begin) & (state_ids != config.end)
    instruction = content & ((state_ids == config.end).cumsum(-1) == 0)
    return np.stack([instruction, content & ~instruction], 1)
