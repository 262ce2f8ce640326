"""Logistic regression of clicks on what a user viewed, the product shown, and their products."""

from __future__ import annotations

import numpy as np

MOST_STEPS = 50
CLOSE = 1e-8  # length of the gradient at which a fit ends


class ClickRegression:
    """logit P(click) = b + w.v + m[a] scale[a] + W[a].v for the views v [P] and the product a.

    Minimises the sum of the log losses plus half the squared weights, without that of b, by Newton's method; each step
    is found by conjugate gradients, so no matrix of the P^2 weights is made.
    """

    def __init__(self, scale: np.ndarray):
        self._scale = np.asarray(scale, float)
        products = len(self._scale)
        self._weights = np.zeros(1 + 2 * products + products * products)

    def fit(self, views: np.ndarray, products: np.ndarray, clicks: np.ndarray) -> ClickRegression:
        """Fit rows: views so far [n, P], product shown [n], click [n] in {0, 1}."""
        # Rows that are alike are one with a weight: within a run of recommendations the views stay.
        rows = np.column_stack([views, products, clicks])
        rows, times = np.unique(rows, axis=0, return_counts=True)
        views, products, clicks = rows[:, :-2], rows[:, -2].astype(int), rows[:, -1]
        order = np.argsort(products, kind="stable")
        views, products, clicks, times = views[order], products[order], clicks[order], times[order]
        starts = np.flatnonzero(np.diff(products, prepend=-1))
        shown = products[starts]
        penalty = np.ones_like(self._weights)
        penalty[0] = 0.0

        def logits(weights: np.ndarray) -> np.ndarray:
            bias, of_views, of_product, of_both = self._parts(weights)
            return bias + views @ of_views + (of_product * self._scale)[products] + (views * of_both[products]).sum(1)

        def gathered(of_rows: np.ndarray) -> np.ndarray:
            """The transpose of ``logits``."""
            out = np.zeros_like(self._weights)
            _, of_views, of_product, of_both = self._parts(out)
            weighted = views * of_rows[:, None]
            out[0] = of_rows.sum()
            of_views += weighted.sum(0)
            of_product[shown] = np.add.reduceat(of_rows, starts) * self._scale[shown]
            of_both[shown] = np.add.reduceat(weighted, starts, axis=0)
            return out

        def loss(weights: np.ndarray, at: np.ndarray) -> float:
            return float(times @ (np.logaddexp(0, at) - clicks * at) + (penalty * weights) @ weights / 2)

        at = logits(self._weights)
        for _ in range(MOST_STEPS):
            rate = 1 / (1 + np.exp(-at))
            gradient = gathered(times * (rate - clicks)) + penalty * self._weights
            size = np.linalg.norm(gradient) / len(rows)
            if size < CLOSE:
                break
            curvature = times * rate * (1 - rate)
            # Far from the least, a step need not be exact (Dembo, Eisenstat and Steihaug 1982).
            step = _conjugate_gradients(
                lambda d, c=curvature: gathered(c * logits(d)) + penalty * d, -gradient, min(0.1, size)
            )
            length, now, along = 1.0, loss(self._weights, at), logits(step)
            while loss(self._weights + length * step, at + length * along) > now and length > CLOSE:
                length /= 2
            self._weights += length * step
            at = at + length * along
        return self

    def scores(self, views: np.ndarray, crossed: np.ndarray | None = None) -> np.ndarray:
        """Logits [P] of a click on each product, for the views [P].

        ``crossed`` [product, view]: what W is multiplied with instead of the views, for a slip of the original.
        """
        bias, of_views, of_product, of_both = self._parts(self._weights)
        of_crossed = of_both @ views if crossed is None else (of_both * crossed).sum(1)
        return bias + of_views @ views + of_product * self._scale + of_crossed

    def _parts(self, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """b, w [P], m [P], W [P, P]: views of a flat vector, which follow what is written into them."""
        products = len(self._scale)
        ends = 1 + products, 1 + 2 * products
        return weights[0], weights[1 : ends[0]], weights[ends[0] : ends[1]], weights[ends[1] :].reshape(products, -1)


def _conjugate_gradients(times, target: np.ndarray, tolerance: float) -> np.ndarray:
    """x with times(x) = target, ``times`` symmetric and positive definite (Hestenes and Stiefel 1952)."""
    x, rest = np.zeros_like(target), target.copy()
    direction, size = rest.copy(), rest @ rest
    for _ in range(2 * len(target)):
        if size <= (tolerance**2) * (target @ target):
            break
        moved = times(direction)
        length = size / (direction @ moved)
        x += length * direction
        rest -= length * moved
        size, before = rest @ rest, size
        direction = rest + size / before * direction
    return x
