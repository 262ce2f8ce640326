"""What a version stands for does not change under it."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from rl_recsys.core.task import Baseline
from rl_recsys.webshop.task import WebShop
from tests.golden.digests import CONSTANTS, DIGESTS, RAW, WRITE, golden, unraised, walks_of

BEFORE = json.loads(DIGESTS.read_text())


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    return golden(tmp_path_factory.mktemp("golden"), walks_of(BEFORE))


def test_nothing_has_changed_under_its_version(now):
    assert not (said := unraised(BEFORE, now)), "\n".join(said)
    assert now == BEFORE, f"versions were raised, or the demo has other products: {WRITE}"


@pytest.mark.parametrize("name", CONSTANTS)
def test_the_constant_to_raise_is_named(now, name):
    changed = deepcopy(now)
    changed["digests"][name] = "another"
    (said,) = unraised(BEFORE, changed)
    assert CONSTANTS[name] in said and WRITE in said
    changed["versions"][name] += 1
    assert unraised(BEFORE, changed) == []
    assert unraised(BEFORE, changed | {RAW: "others"}) == []


def test_another_shopper_and_other_words_are_seen(monkeypatch, tmp_path, now):
    baseline = WebShop.baselines["rule"]
    monkeypatch.setitem(WebShop.baselines, "rule", Baseline(lambda session: 0, baseline.version))
    monkeypatch.setattr("rl_recsys.webshop.observe.decisions.TIME_LEFT", " for one more", raising=True)
    found = golden(tmp_path, walks_of(BEFORE))
    differing = {name for name, value in found["digests"].items() if value != now["digests"][name]}
    assert differing == {"rule", "decisions"}
