"""One logit for each (state, action) pair: the action's tokens look for what they are like among the state's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.bert.attention import LIKE_LENGTH
from policies.bert.embedding import embedding
from policies.bert.linear import Linear
from policies.bert.transfer import on_device
from policies.bert_choice.config import ChoiceConfig
from policies.bert_choice.text_encoder import Encoded, inner_counts, token_places

NOTHING = -1.0  # the best cosine where there is nothing to compare with; none is less


class Interaction(nn.Module):
    """The head of ``BertChoice``, over encodings of states and of actions."""

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
        self.position = embedding(config.shape.choices, self.TAGS)
        self.kind = embedding(config.kinds, self.TAGS)
        self.output = nn.Sequential(
            Linear(3 * width + 2 * self.TAGS + self.SIMILARITIES, width), nn.GELU(), Linear(width, 1)
        )

    def forward(
        self,
        states: Encoded,
        regions: np.ndarray,
        actions: Encoded,
        rows: np.ndarray,
        positions: np.ndarray,
        kinds: np.ndarray,
    ) -> Tensor:
        """Logits [P] of pairs: action p, of kind ``kinds[p]``, stands at ``positions[p]`` of state ``rows[p]``.

        ``rows`` must ascend. regions [B, R, S] say where a state's tokens are those of its instruction, or others; some
        may be nowhere. All that says what is where is read on the host.
        """
        device, pairs = states.tokens.device, len(rows)
        token, pair, inner = token_places(actions.starts, actions.lengths)
        state_units, action_units = F.normalize(states.tokens, dim=-1), F.normalize(actions.tokens, dim=-1)
        state_projected, action_projected = self.project(states.tokens), self.project(actions.tokens)
        context, best, covered, order, covered_pairs = [], [], [], [], []
        # Without gradient on a CPU, the products below are those of each state alone, whatever else is in the batch.
        equal = device.type == "cpu" and not torch.is_grad_enabled()
        counts = np.bincount(rows[pair], minlength=len(states.starts))
        for block in _blocks(states, counts, equal=equal):
            filled = block.tokens[block.filled]
            of_inner = block.filled & inner[block.tokens]
            inner_pairs = pair[block.tokens[of_inner]]
            block_pairs = np.unique(pair[filled])
            region = regions[block.states, :, : block.state_filled.shape[1]]
            (
                action_tokens, state_tokens, state_filled, kept, of_inner, owner, region, owner_row, sizes
            ) = on_device(
                device, token[block.tokens], block.state_tokens, block.state_filled[:, None],
                np.flatnonzero(block.filled), np.flatnonzero(of_inner), np.searchsorted(block_pairs, inner_pairs),
                region, np.searchsorted(block.states, rows[block_pairs]), region.sum(-1)
            )  # fmt: skip
            cosine = action_units[action_tokens] @ state_units[state_tokens].transpose(1, 2)  # [N, T, S]
            sharp = cosine * self.sharpness
            attention = (sharp if block.state_filled.all() else sharp.masked_fill(~state_filled, -torch.inf)).softmax(
                -1
            )
            context.append((attention @ state_projected[state_tokens]).flatten(0, 1)[kept])
            within = cosine.unsqueeze(2).masked_fill(~region.unsqueeze(1), NOTHING)  # [N, T, R, S]
            best.append(within.amax(-1).flatten(0, 1)[kept])
            shown = best_of_each(cosine.flatten(0, 1)[of_inner], owner, len(block_pairs))
            covered.append(mean_over(region[owner_row], sizes[owner_row], shown))
            order.append(filled)
            covered_pairs.append(block_pairs)
        order = np.concatenate(order)  # of the pairs' tokens
        owner, of_inner = pair[order], np.flatnonzero(inner[order])
        (
            order, owner, of_inner, inner_owner, lengths, inner_lengths, pair_order, of_row, positions, kinds
        ) = on_device(
            device, token[order], owner, of_inner, owner[of_inner], actions.lengths, inner_counts(actions.lengths),
            np.argsort(np.concatenate(covered_pairs)), rows, positions, kinds,
        )  # fmt: skip
        context, best, projected = torch.cat(context), torch.cat(best), action_projected[order]
        together = torch.cat([projected, context, projected * context, (projected - context).abs()], -1)
        compared = F.gelu(self.compare(together))
        averaged = compared.new_zeros(pairs, compared.shape[-1]).index_add(0, owner, compared) / lengths.unsqueeze(-1)

        best = best[of_inner]
        mean = best.new_zeros(pairs, best.shape[-1]).index_add(0, inner_owner, best) / inner_lengths.unsqueeze(-1)
        least = best.new_ones(pairs, best.shape[-1])
        least = least.scatter_reduce(0, inner_owner.unsqueeze(-1).expand_as(best), best, "amin")
        state_means = states.means[of_row]
        whole = F.cosine_similarity(state_means, actions.means, dim=-1, eps=1e-6).unsqueeze(-1)
        features = [
            averaged,
            self.match(actions.means * state_means),
            self.state(states.means)[of_row],
            self.position(positions),
            self.kind(kinds),
            mean,
            least,
            torch.cat(covered)[pair_order],
            whole,
        ]
        return self.output(torch.cat(features, -1)).squeeze(-1)


def best_of_each(cosine: Tensor, owner: Tensor, count: int) -> Tensor:
    """The best cosine [count, S] of each state token with a token of each action; cosines are [T, S], owners [T]."""
    least = cosine.new_full((count, cosine.shape[1]), NOTHING)
    return least.scatter_reduce(0, owner.unsqueeze(-1).expand_as(cosine), cosine, "amax")


def mean_over(regions: Tensor, sizes: Tensor, cosine: Tensor) -> Tensor:
    """The means [P, R] of cosines [P, S] over regions [P, R, S] of these sizes [P, R]; ``NOTHING`` over empty ones."""
    sums = (regions * cosine.unsqueeze(1)).sum(-1)
    return torch.where(sizes > 0, sums / sizes.clamp(min=1), NOTHING)


@dataclass(frozen=True)
class _Block:
    """States whose actions have about as many tokens, and what stands where in an array that is padded to them.

    states [N] ascend; tokens [N, T], of the pairs, and filled [N, T]; state_tokens [N, S] and state_filled [N, S].
    """

    states: np.ndarray
    tokens: np.ndarray
    filled: np.ndarray
    state_tokens: np.ndarray
    state_filled: np.ndarray


def _blocks(states: Encoded, counts: np.ndarray, *, equal: bool) -> Iterator[_Block]:
    """States that have actions, of ``counts`` tokens [B]; blocks of ``equal`` numbers of tokens have no padding."""
    starts = np.cumsum(counts) - counts
    for rows in _alike(counts, states.lengths, equal=equal):
        tokens, filled = _padded(starts[rows], counts[rows])
        yield _Block(rows, tokens, filled, *_padded(states.starts[rows], states.lengths[rows]))


def _alike(counts: np.ndarray, lengths: np.ndarray, *, equal: bool) -> Iterator[np.ndarray]:
    """Rows that are taken together, ascending: those of equal counts and lengths, or of like counts."""
    rows = np.flatnonzero(counts)
    if equal:
        together: dict[tuple[int, int], list[int]] = {}
        for row in rows.tolist():
            together.setdefault((int(counts[row]), int(lengths[row])), []).append(row)
        yield from map(np.array, together.values())
        return
    rows = rows[np.argsort(counts[rows], kind="stable")]
    first = 0
    while first < len(rows):
        last = np.searchsorted(counts[rows], LIKE_LENGTH * counts[rows[first]], side="right")
        yield np.sort(rows[first:last])
        first = last


def _padded(starts: Sequence[int], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers from each start on, as many as the longest has [N, L], and which of them are within the lengths; those
    beyond are 0."""
    inside = np.arange(lengths.max())
    filled = inside < lengths[:, None]
    return np.where(filled, starts[:, None] + inside, 0), filled
