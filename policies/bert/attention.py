"""Attention within texts that stand one after the other, those of like length at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from policies.bert.transfer import on_device

LIKE_LENGTH = 1.5  # times the shortest text of a group is its longest, which the others are padded to


@dataclass(frozen=True)
class Group:
    """Texts of like length that stand one after the other: their tokens [start:end], each token's place among those
    as a padded array [N, L], where that array has tokens, and the places of these in it [end - start]; None for all
    three where the texts are equally long."""

    start: int
    end: int
    count: int
    places: Tensor | None
    mask: Tensor | None
    filled: Tensor | None


#: A layer: what it makes of tokens [T, H] whose texts stand in these groups.
LayerFunction = Callable[[Tensor, Sequence[Group]], Tensor]


def groups_of(lengths: Sequence[int], device: torch.device, *, equal: bool = False) -> Iterator[Group]:
    """Groups of texts with these lengths, which ascend; little of a group is padding, and where they are to be of
    ``equal`` length, nothing is: what a text gives then does not depend on the others."""
    first = start = 0
    while first < len(lengths):
        limit = lengths[first] if equal else max(LIKE_LENGTH * lengths[first], lengths[first] + 4)
        last = first
        while last < len(lengths) and lengths[last] <= limit:
            last += 1
        of = np.array(lengths[first:last])
        end, mask = start + int(of.sum()), np.arange(of[-1]) < of[:, None]
        if mask.all():
            yield Group(start, end, len(of), None, None, None)
        else:
            places = np.where(mask, np.arange(of[-1]) + (of.cumsum() - of)[:, None], 0)
            yield Group(start, end, len(of), *on_device(device, places, mask, np.flatnonzero(mask)))
        first, start = last, end


def attention(query: Tensor, key: Tensor, value: Tensor, groups: Sequence[Group]) -> Tensor:
    """Attention within each of the texts that stand one after the other in query, key and value [T, heads, D].

    Rows after the last text's find nothing: 0.
    """
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        # Its gradient takes a CPU five times as long in bfloat16 as in float32, and it is a small part of a layer.
        with torch.autocast("cpu", enabled=False):
            return attention(query.float(), key.float(), value.float(), groups)
    found = []
    for group in groups:
        parts = [one[group.start : group.end] for one in (query, key, value)]
        if group.places is None:
            shape = group.count, -1, *parts[0].shape[1:]
            padded = [one.reshape(shape).transpose(1, 2) for one in parts]
        else:
            padded = [one[group.places].transpose(1, 2) for one in parts]
        mask = None if group.mask is None else group.mask[:, None, None]
        attended = F.scaled_dot_product_attention(*padded, attn_mask=mask).transpose(1, 2)
        rows = attended.flatten(0, 1)  # [N L, heads, D]
        found.append(rows if group.filled is None else rows[group.filled])
    beyond = len(query) - groups[-1].end
    return torch.cat([*found, found[0].new_zeros(beyond, *query.shape[1:])])
