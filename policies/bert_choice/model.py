"""The choice model: BERT reads the state and every available action; each action gets one logit, the state a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.base import ENCODER, HEAD, MASKED, Policy
from policies.bert.bert import Bert, BertShape
from policies.bert.encoder_folder import BUNDLED, encoder_folder
from policies.bert.linear import Linear
from policies.bert.pretrained import load_encoder
from policies.bert_choice.config import ChoiceConfig
from policies.bert_choice.text_encoder import Encoded, TextEncoder, token_places
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

    def __init__(self, config: ChoiceConfig, encoder: Bert | None = None):
        super().__init__()
        self._config = config
        bert = Bert.blank(BertShape.written(config.encoder, "encoder")) if encoder is None else encoder
        self.encoder = TextEncoder(bert, apart_layers=config.apart_layers, begin=config.begin, end=config.end)
        hidden = self.encoder.hidden_size
        self.scorer = _Interaction(hidden, config)
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
        actions' places on the page, where only some of a page's actions are given.
        """
        states = self.encoder(observation["state"])
        available = observation["mask"].bool()
        rows, columns = available.nonzero(as_tuple=True)
        logits = torch.full(available.shape, MASKED, dtype=torch.float32, device=available.device)
        if len(rows):
            given = observation.get("positions")
            positions = columns if given is None else given[rows, columns].long()
            texts = self.encoder(observation["actions"][rows, columns])
            regions = _regions(observation["state"], self._config)
            kinds = observation["kinds"][rows, columns].long()
            with torch.autocast(available.device.type, enabled=False):  # it compares: small products, fine differences
                scored = self.scorer(states, regions, texts, rows, positions, kinds)
            logits = logits.index_put((rows, columns), scored.float())
        return logits, states.means


def _regions(state_ids: Tensor, config: ChoiceConfig) -> tuple[Tensor, Tensor]:
    """Where a state's tokens are the instruction's, and where they are another segment's: two masks [B, S]."""
    content = (state_ids != 0) & (state_ids != config.begin) & (state_ids != config.end)
    instruction = content & ((state_ids == config.end).cumsum(-1) == 0)
    return instruction, content & ~instruction


class _Interaction(nn.Module):
    """One logit for each (state, action) pair from their token encodings."""

    SIMILARITIES = 7
    TAGS = 16  # features of a position, and of a kind

    def __init__(self, hidden: int, config: ChoiceConfig):
        super().__init__()
        width = config.width
        self.sharpness = nn.Parameter(torch.tensor(10.0))  # of the cosine attention
        self.project = Linear(hidden, width)
        self.compare = Linear(4 * width, width)
        self.match = Linear(hidden, width)
        self.state = Linear(hidden, width)
        # Search rank matters, and results are in its order; whether a product was seen matters more.
        self.position = nn.Embedding(config.shape.choices, self.TAGS)
        self.kind = nn.Embedding(config.kinds, self.TAGS)
        self.output = nn.Sequential(
            Linear(3 * width + 2 * self.TAGS + self.SIMILARITIES, width), nn.GELU(), Linear(width, 1)
        )

    def forward(
        self,
        states: Encoded,
        regions: tuple[Tensor, Tensor],
        actions: Encoded,
        rows: Tensor,
        positions: Tensor,
        kinds: Tensor,
    ) -> Tensor:
        """Logits [P] of pairs: action p, of kind ``kinds[p]``, stands at ``positions[p]`` of state ``rows[p]``.

        ``rows`` must ascend.
        """
        state_units, action_units = F.normalize(states.tokens, dim=-1), F.normalize(actions.tokens, dim=-1)
        state_projected, action_projected = self.project(states.tokens), self.project(actions.tokens)
        index, pair, inside = token_places(actions.starts, actions.lengths)
        inner = (inside > 0) & (inside < actions.lengths[pair] - 1)  # the ends are markers
        context, best, covered = [], [], []
        tokens_of_row = torch.bincount(rows[pair], minlength=len(states.starts)).tolist()
        start = 0
        for row, count in enumerate(tokens_of_row):  # a state at a time: no padding on either side
            if not count:
                continue
            first, length = int(states.starts[row]), int(states.lengths[row])
            cosine = action_units[index[start : start + count]] @ state_units[first : first + length].T
            attention = (cosine * self.sharpness).softmax(-1)
            context.append(attention @ state_projected[first : first + length])
            best.append(torch.stack([_over(region[row, :length], cosine, torch.amax) for region in regions], -1))
            kept, owners = inner[start : start + count], pair[start : start + count]
            shown = _most(cosine[kept], owners[kept] - owners[0], int(owners[-1] - owners[0]) + 1)
            covered.append(torch.stack([_over(region[row, :length], shown, torch.mean) for region in regions], -1))
            start += count
        found, best = torch.cat(context), torch.cat(best)
        projected = action_projected[index]
        compared = F.gelu(self.compare(torch.cat([projected, found, projected * found, (projected - found).abs()], -1)))
        pairs = len(rows)
        averaged = compared.new_zeros(pairs, compared.shape[-1]).index_add(0, pair, compared)
        averaged = averaged / actions.lengths.unsqueeze(-1)

        owner, best = pair[inner], best[inner]
        mean = best.new_zeros(pairs, 2).index_add(0, owner, best) / (actions.lengths - 2).clamp(min=1).unsqueeze(-1)
        least = best.new_ones(pairs, 2).scatter_reduce(0, owner.unsqueeze(-1).expand(-1, 2), best, "amin")
        state_means = states.means[rows]
        whole = F.cosine_similarity(state_means, actions.means, dim=-1, eps=1e-6).unsqueeze(-1)
        features = [
            averaged,
            self.match(actions.means * state_means),
            self.state(states.means)[rows],
            self.position(positions),
            self.kind(kinds),
            mean,
            least,
            torch.cat(covered),
            whole,
        ]
        return self.output(torch.cat(features, -1)).squeeze(-1)


def _most(cosine: Tensor, owner: Tensor, count: int) -> Tensor:
    """The best cosine [count, S] of each state token with a token of each action; cosines are [T, S], owners [T]."""
    least = cosine.new_full((count, cosine.shape[1]), -1.0)
    return least.scatter_reduce(0, owner.unsqueeze(-1).expand_as(cosine), cosine, "amax")


def _over(region: Tensor, cosine: Tensor, reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Rows of cosines [N, S] reduced to [N] over a region [S] of the state; -1 where the region is empty."""
    return reduce(cosine[:, region], -1) if bool(region.any()) else cosine.new_full((len(cosine),), -1.0)
