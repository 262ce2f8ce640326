from __future__ import annotations

import json

import pytest

from rl_recsys.shop import Shop, benchmark
from rl_recsys.shop.benchmark import Figure, files_in_use, random_walk, shop_figures, soak, write_catalog


def test_a_walk_is_the_same_again(shop):
    assert random_walk(shop, goals=20) == random_walk(shop, goals=20) > 100
    assert random_walk(shop, seed=1, goals=20) != random_walk(shop, goals=20)


def test_nothing_is_left_of_a_shop_after_a_soak(shop_folder):
    measured = soak(str(shop_folder), 200)
    assert len(measured["megabytes"]) == 100 and min(measured["megabytes"]) > 50
    assert measured["steps"] > 1000
    shop = Shop.open(shop_folder)
    shop.search("shirt")
    assert any(path.endswith("products.arrow") for path in files_in_use(shop_folder))
    shop.close()


def test_a_generated_catalogue_is_as_long_as_asked_and_compiles(tmp_path):
    source, size = write_catalog(tmp_path / "few", 1050)
    assert len(json.loads(source.items.read_text())) == 1050
    source, size = write_catalog(tmp_path / "long", 2**62, megabytes=1)
    assert size == pytest.approx(1e6, rel=0.01)
    assert size / len(json.loads(source.items.read_text())) == pytest.approx(4400, rel=0.15)


def test_figures_are_measured_in_processes_of_their_own(tmp_path, shop_folder, monkeypatch):
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    monkeypatch.setattr(benchmark, "WORKERS", 1)
    figures = {
        figure.name: figure
        for figure in shop_figures(shop_folder, tmp_path, parts=("catalog",), products=60, megabytes=1, sessions=10)
    }
    assert all(figure.value > 0 for figure in figures.values())
    assert figures["prepare, 60 products: memory of all its processes at most"].value > 200
    assert figures["random walk, 60 products, query cache off"].unit == "steps/s"
    assert "of the worker of the small shop" in figures["memory of a further worker, 60 products"].note


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(2.0, False, True), (2.1, False, False), (1.9, True, False), (2.0, True, True)]
)
def test_a_figure_meets_its_target_or_not(value, at_least, met):
    assert Figure("", value, "", 2.0, at_least=at_least).met is met
    assert Figure("", value, "").met is None
