"""The three networks of Virtual-Taobao in numpy: who comes, how long a customer stays, how many items are clicked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

#: Categories of each of a customer's attributes; what they mean was never published.
GROUPS = (8, 8, 11, 11, 11, 11, 2, 2, 3, 18, 3)
FEATURES = sum(GROUPS)  # one-hot, so 88
NOISE = 128  # numbers that a customer is made of
ITEM_ATTRIBUTES = 27  # a recommendation gives each a weight
CLICKS, SECONDS = 11, 10  # values of what a page is answered with: clicks from 0, and a second number from 0
LEAVES = 101  # values of the page after which a customer leaves
SHOWN = 10  # items of a page

#: Widths of the fully connected layers, between which is a LeakyReLU.
LAYERS: Mapping[str, tuple[int, ...]] = {
    "generator": (NOISE, 128, FEATURES),
    "action": (FEATURES + 1 + ITEM_ATTRIBUTES, 128, 256, CLICKS + SECONDS),
    "leave": (FEATURES, 128, 256, LEAVES),
}
#: Shapes of the arrays, named as torch names those of an ``nn.Sequential`` whose every second part is a layer.
SHAPES: Mapping[str, tuple[int, ...]] = {
    f"{network}.{2 * layer}.{kind}": shape
    for network, widths in LAYERS.items()
    for layer, (before, after) in enumerate(zip(widths, widths[1:], strict=False))
    for kind, shape in (("weight", (after, before)), ("bias", (after,)))
}
LEAK = np.float32(0.01)


class Sections:
    """Groups of unequal size, one below the other in the rows of an array, as a table with a row for each group."""

    def __init__(self, sizes: Sequence[int]):
        self.starts = np.cumsum([0, *sizes[:-1]])
        self.shape, self.count = (len(sizes), max(sizes)), sum(sizes)
        column = np.arange(self.shape[1])
        self._there = column < np.array(sizes)[:, None]
        self._at = np.where(self._there, self.starts[:, None] + column, 0)

    def table(self, values: np.ndarray, fill: float) -> np.ndarray:
        """Values [sum of the sizes, ...] as a table [groups, largest size, ...] that ``fill`` fills up."""
        table = values[self._at]
        table[~self._there] = fill
        return table


CUSTOMER, LEAVE, PAGE = Sections(GROUPS), Sections((LEAVES,)), Sections((CLICKS, SECONDS))


class Networks:
    """What the three networks say, in float32 as torch computes it, of any number of customers n.

    ``arrays`` have the names and shapes of ``SHAPES``. What they give are probabilities in tables [groups, largest
    group, n], customers last, because sums over short rows would be slow: 0 where a group has no such category.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        (weights, self._first_bias), *action = _layers(arrays, "action", PAGE)
        self._of_customers, of_page, self._of_actions = np.split(weights, [FEATURES, FEATURES + 1])
        self._of_page, self._action = of_page[0], action
        self._generator, self._leave = _layers(arrays, "generator", CUSTOMER), _layers(arrays, "leave", LEAVE)

    def categories(self, noise: np.ndarray) -> np.ndarray:
        """Of a customer's attributes [11, 18, n], by noise [n, 128] in [0, 1)."""
        return _probabilities(self._generator, noise, CUSTOMER)

    def leave_pages(self, features: np.ndarray) -> np.ndarray:
        """Of the page after which customers leave [1, 101, n], by their features [n, 88] (one-hot)."""
        return _probabilities(self._leave, features, LEAVE)

    def begun(self, features: np.ndarray) -> np.ndarray:
        """What the first layer of the action network has of features [n, 88]: [n, 128], the same on all pages."""
        return features @ self._of_customers + self._first_bias

    def answers(self, begun: np.ndarray, pages: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Of clicks and of the second number [2, 11, n], to actions [n, 27] after ``pages`` [n] shown before."""
        first = actions @ self._of_actions
        first += begun
        first += pages.astype(np.float32)[:, None] * self._of_page
        return _probabilities(self._action, _leaky(first), PAGE)


Layer = tuple[np.ndarray, np.ndarray]


def _layers(arrays: Mapping[str, np.ndarray], network: str, last: Sections) -> list[Layer]:
    """(weights [in, out], bias [out]) of each layer; of the last (weights [table, in], bias [table, 1])."""
    layers = []
    for place in range(len(LAYERS[network]) - 1):
        weights, bias = (np.asarray(arrays[f"{network}.{2 * place}.{kind}"], np.float32) for kind in ("weight", "bias"))
        layers.append((np.ascontiguousarray(weights.T), bias))
    # Categories that are not there have the logit -inf, so a group's softmax needs no cases.
    rows = math.prod(last.shape)
    layers[-1] = last.table(weights, 0.0).reshape(rows, -1), last.table(bias, -np.inf).reshape(rows, 1)
    return layers


def _probabilities(layers: Sequence[Layer], values: np.ndarray, table: Sections) -> np.ndarray:
    """Values [n, in] through layers, with a LeakyReLU after each but the last, and softmax over each group."""
    *hidden, (last, last_bias) = layers
    for weights, bias in hidden:
        values = values @ weights
        values += bias
        values = _leaky(values)
    logits = last @ values.T
    logits += last_bias
    logits = logits.reshape(*table.shape, -1)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def _leaky(values: np.ndarray) -> np.ndarray:
    """Of each value; they are overwritten."""
    return np.maximum(values, values * LEAK, out=values)
