"""Random numbers by their place instead of in turn: a number of each (seed, kind, user, event), for many at once.

SplitMix64 (Steele, Lea and Flood 2014): the state is a key plus a counter times an odd constant, and the output mixes
it. A user's key is the mixed seed, kind and number, so any event of any user can be drawn without those before.
"""

from __future__ import annotations

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


def _mixed(state: np.ndarray) -> np.ndarray:
    """Every bit of a state [any shape] (uint64) in every bit of the answer; ``state`` is overwritten."""
    state ^= state >> np.uint64(30)
    state *= _FIRST
    state ^= state >> np.uint64(27)
    state *= _SECOND
    state ^= state >> np.uint64(31)
    return state


def root(seed: int, kind: int) -> np.ndarray:
    """What the keys of one kind of draw are made of [1] (uint64)."""
    root = _mixed(np.array([seed], np.uint64) * _STEP + _STEP)
    return _mixed(root + np.array([kind + 1], np.uint64) * _STEP)


def keys_of(root: np.ndarray, users: np.ndarray) -> np.ndarray:
    """The keys [users] (uint64) of a ``root``."""
    return _mixed(root + np.asarray(users).astype(np.uint64) * _STEP)


def keys(seed: int, kind: int, users: np.ndarray) -> np.ndarray:
    """The keys [users] (uint64) of one kind of draw."""
    return keys_of(root(seed, kind), users)


def words(key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits (uint64); ``key`` (uint64) and ``counter`` (from 0 on) broadcast."""
    return _mixed(key + (np.asarray(counter).astype(np.uint64) + np.uint64(1)) * _STEP)


def uniforms(key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1), a multiple of 2^-53 each; ``key`` and ``counter`` as of ``words``."""
    return (words(key, counter) >> np.uint64(11)) * _UNIT


def normals(key: np.ndarray, event: np.ndarray, width: int) -> np.ndarray:
    """Standard normals [..., width] of events; ``key`` and ``event`` broadcast (Box and Muller 1958).

    Event e has the counters from e times the even number at least ``width`` on, so events share none.
    """
    pairs = (width + 1) // 2
    counter = np.asarray(event)[..., None] * (2 * pairs) + np.arange(2 * pairs)
    drawn = uniforms(np.asarray(key)[..., None], counter)
    radius = np.sqrt(-2.0 * np.log(1.0 - drawn[..., :pairs]))
    angle = 2.0 * np.pi * drawn[..., pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)[..., :width]
