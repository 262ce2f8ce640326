from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rl_recsys.runs.measurement import Figure
from rl_recsys.webshop import Shop, benchmark
from rl_recsys.webshop.benchmark import files_in_use, random_walk, shop_figures, soak, write_catalog


def test_a_walk_is_the_same_again(shop):
    steps = [random_walk(shop, range(20), random.Random(seed)) for seed in (0, 0, 1)]
    assert steps[0] == steps[1] > 100
    assert steps[2] != steps[0]


def test_nothing_is_left_of_a_closed_shop(tmp_path, shop_folder):
    folder = shutil.copytree(shop_folder, tmp_path / "shop")  # not the one that other tests have open
    measured = soak(str(folder), 200)
    assert len(measured["megabytes"]) == 100 and min(measured["megabytes"]) > 50
    assert measured["steps"] > 1000
    assert measured["left"] == 0
    shop = Shop.open(folder)
    shop.search("shirt")
    assert {"products.arrow", "goals.arrow"} < {Path(path).name for path in files_in_use(folder)}


def test_a_generated_catalogue_is_as_long_as_asked_and_compiles(tmp_path):
    source, size = write_catalog(tmp_path / "few", 1050)
    assert len(json.loads(source.items.read_text())) == 1050
    source, size = write_catalog(tmp_path / "long", 2**62, megabytes=1)
    assert size == pytest.approx(1e6, rel=0.01)
    assert size / len(json.loads(source.items.read_text())) == pytest.approx(4400, rel=0.15)


def test_figures_are_measured_in_processes_of_their_own(tmp_path, shop_folder, monkeypatch):
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    monkeypatch.setattr(benchmark, "WORKERS", 1)
    parts = ("open", "memory")
    figures = list(shop_figures(shop_folder, tmp_path, parts=parts, products=60, megabytes=1, sessions=10))
    assert [figure.unit for figure in figures] == ["s", "s", "MB (USS)"]
    assert all(figure.value > 0 for figure in figures)
    assert figures[2].value > 50


def test_a_prepare_is_measured_with_all_its_processes(tmp_path):
    source, _ = write_catalog(tmp_path, 50)
    seconds, megabytes = benchmark._prepare(source, tmp_path / "shop")
    assert seconds > 1 and megabytes > 200
    assert Shop.open(tmp_path / "shop").product_count == 50
    with pytest.raises(RuntimeError, match="prepare ended with exit status 1"):
        benchmark._prepare(replace(source, items=tmp_path / "nowhere"), tmp_path / "shop")


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(2.0, False, True), (2.1, False, False), (1.9, True, False), (2.0, True, True)]
)
def test_a_figure_meets_its_target_or_not(value, at_least, met):
    assert Figure("", value, "", 2.0, at_least=at_least).met is met
    assert Figure("", value, "").met is None
