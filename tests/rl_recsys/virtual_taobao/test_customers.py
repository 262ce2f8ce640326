"""Customers of the paired stream, in networks drawn by chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.virtual_taobao import Settings, SettingsError, World
from rl_recsys.virtual_taobao.agents import Program, RandomAgent, Truth, expected_clicks
from rl_recsys.virtual_taobao.baselines import good_actions
from rl_recsys.virtual_taobao.draws import OriginalDraws, PairedDraws
from rl_recsys.virtual_taobao.evaluation import ArmResult, compare_arms
from rl_recsys.virtual_taobao.networks import CUSTOMER, ITEM_ATTRIBUTES, PAGE
from rl_recsys.virtual_taobao.search import Search, best_program
from rl_recsys.virtual_taobao.torch_stream import TorchStream
from rl_recsys.virtual_taobao.world import NoCustomerError

STAND_IN = "stand-in:0"
QUICK = Search(restarts=2, generations=10, population=32, elite=6, customers=4)


def played(world, agent):
    """Clicks of each page [pages, size]; customers who have left have none."""
    pages = []
    while not world.left.all():
        pages.append(world.show(agent.act(world)))
    return np.array(pages)


def served(size, agent, **arguments):
    world = World(Settings(weights=STAND_IN, **arguments), size)
    world.begin(np.arange(size), np.arange(size))
    return world, played(world, agent)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**31 - 1), number=st.integers(0, 2**40), bored=st.booleans(), memory=st.integers(1, 3))
def test_customers_are_the_same_alone_and_among_others(seed, number, bored, memory):
    arguments = {"random_seed": seed, "leave_when_bored": bored, "bored_memory": memory}
    many, alone = (World(Settings(weights=STAND_IN, **arguments), size) for size in (5, 1))
    agent = RandomAgent(seed)
    many.begin(np.arange(5), number + np.arange(5))
    features = many.observation()
    clicks = played(many, agent)
    for place in range(5):
        alone.begin(np.zeros(1, int), np.array([number + place]))
        assert (alone.observation()[0] == features[place]).all()
        own = played(alone, agent)[:, 0]
        assert own.tolist() == clicks[: len(own), place].tolist() and not clicks[len(own) :, place].any()
        assert (alone.observation()[0] == many.observation()[place]).all()
        assert alone.pages[0] == many.pages[place] <= max(1, many.leave_pages[place])


def test_whatever_is_shown_customers_stay_as_long():
    first, _ = served(100, RandomAgent(1))
    second, _ = served(100, Program(np.ones((2, ITEM_ATTRIBUTES))))
    assert (first.categories == second.categories).all() and (first.pages == second.pages).all()
    assert (first.pages == np.maximum(1, first.leave_pages)).all()


def test_draws_have_the_frequencies_of_the_networks():
    world, size = World(Settings(weights=STAND_IN), 1), 2000
    networks, numbers = world.weights.networks, np.arange(size)
    for draws in (PairedDraws(3), OriginalDraws(3)):
        noise = np.full((1, 128), 0.5, np.float32)
        table = networks.categories(noise)
        if isinstance(draws, OriginalDraws):
            drawn = np.concatenate([draws.categories(numbers[:1], table) for _ in numbers])
        else:
            drawn = draws.categories(numbers, np.repeat(table, size, axis=2))
        for group in range(len(CUSTOMER.starts)):
            shares = np.bincount(drawn[:, group], minlength=table.shape[1]) / size
            error = np.sqrt(table[group, :, 0] / size)
            assert (np.abs(shares - table[group, :, 0]) <= 5 * error).all()


@given(seed=st.integers(0, 2**31 - 1), counts=st.lists(st.integers(1, 3000), max_size=5))
@settings(max_examples=8)
def test_blocks_of_the_stream_are_one_stream(seed, counts):
    whole, parts = TorchStream(seed), TorchStream(seed)
    expected = whole.exponentials(sum(counts))
    assert np.concatenate([[], *(parts.exponentials(count) for count in counts)]).tolist() == expected.tolist()
    skipped = TorchStream(seed)
    skipped.skip(sum(counts))
    assert skipped.floats(4).tolist() == whole.floats(4).tolist() == parts.floats(4).tolist()


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=10)
def test_the_stream_is_torchs(seed):
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13"):
        pytest.skip("another torch may draw otherwise")
    generator, stream = torch.Generator().manual_seed(seed), TorchStream(seed)
    assert torch.rand(128, generator=generator).tolist() == stream.floats(128).tolist()
    for count in (11, 2, 101):
        p = torch.softmax(torch.randn(count, generator=torch.Generator().manual_seed(seed)), 0)
        drawn = torch.multinomial(p, 1, generator=generator).item()
        assert drawn == (p.numpy() / stream.exponentials(count)).argmax()


def test_bored_customers_leave_what_points_the_same_way():
    world = World(Settings(weights=STAND_IN, leave_when_bored=True, bored_memory=2), 300)
    world.begin(np.arange(300), np.arange(300))
    staying = world.leave_pages > 3
    away = np.clip(-world.pasts / np.abs(world.pasts).max(axis=1, keepdims=True), -1, 1).astype(np.float32)
    assert world.would_bore(np.arange(300), -away).all() and not world.would_bore(np.arange(300), away).any()
    assert world.would_bore(np.arange(300), 0 * away).all()
    world.show(away)
    assert (~world.left == (world.leave_pages > 1)).all()
    assert world.would_bore(np.arange(300), away)[~world.left].all()  # the same again
    aside = np.random.default_rng(0).standard_normal(away.shape)
    aside -= (aside * away).sum(1, keepdims=True) / (away**2).sum(1, keepdims=True) * away
    # At nearly right angles to the page before and to the past, and away from both or towards both.
    other = (0.02 * aside / np.abs(aside).max(axis=1, keepdims=True) - 0.002 * away).astype(np.float32)
    bored = world.would_bore(np.arange(300), other)
    left = world.left.copy()
    world.show(other)
    assert (world.left[~left] == (bored | (world.leave_pages <= 2))[~left]).all()
    assert world.recent[staying & ~left][0, 0] == pytest.approx(other[staying & ~left][0])
    assert world.recent[staying & ~left][0, 1] == pytest.approx(away[staying & ~left][0])


def test_no_fixed_action_suits_the_pasts_of_most():
    world = World(Settings(weights=STAND_IN, leave_when_bored=True), 500)
    world.begin(np.arange(500), np.arange(500))
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 27)):
        assert 0.2 < world.would_bore(np.arange(500), np.tile(action, (500, 1))).mean() < 0.8


def test_the_best_constant_is_found_and_always_an_arm():
    constant = best_program(Settings(weights=STAND_IN), 1, search=QUICK)
    results = compare_arms(Settings(weights=STAND_IN), {"mine": RandomAgent(7)}, customers=200, constant=constant)
    rates = {name: result.rate for name, result in results.items()}
    assert set(rates) == {"best constant", "random", "zeros", "mine"}
    assert rates["best constant"] > 0.2 and rates["best constant"] > 5 * max(rates["random"], rates["zeros"])
    for result in results.values():
        assert result.rate_interval[0] <= result.rate <= result.rate_interval[1]
        assert (result.pages == results["random"].pages).all()
    with pytest.raises(SettingsError, match="zeros"):
        compare_arms(Settings(weights=STAND_IN), {"zeros": constant}, customers=2, constant=constant)


def test_knowing_the_truth_is_worth_much_where_customers_can_be_bored():
    plain = Settings(weights=STAND_IN, leave_when_bored=True)
    constant = best_program(plain, 1, search=QUICK)
    results = compare_arms(plain, {"truth": Truth(good_actions(plain)[:100])}, customers=30, constant=constant)
    assert results["truth"].clicks_interval[0] > results["best constant"].clicks_interval[1]
    assert results["best constant"].pages.max() <= 2 < results["truth"].pages.mean()


def test_where_all_or_nothing_was_clicked_intervals_are_not_of_no_width():
    pages = np.full(100, 3)
    assert ArmResult(pages * 10, pages).rate_interval == (0.97, 1.0)
    assert ArmResult(pages * 0, pages).rate_interval == (0.0, 0.03)


def test_clicks_are_as_often_as_the_networks_say():
    world = World(Settings(weights=STAND_IN), 3000)
    places = np.arange(3000)
    world.begin(places, places)
    actions = RandomAgent(2).act(world) * 0.5
    expected = expected_clicks(world, places, actions)
    clicks = world.show(actions)
    assert clicks.mean() == pytest.approx(expected.mean(), abs=5 * clicks.std() / np.sqrt(3000))
    assert PAGE.count == 21 and world.answers[:, 1].max() <= 9


def test_weights_beyond_the_space_are_clipped_and_counted():
    for clip in (True, False):
        settings_ = Settings(weights=STAND_IN, clip_actions=clip)
        beyond, inside = World(settings_, 50), World(settings_, 50)
        action = np.where(np.arange(27) % 2, 3.0, 0.5)
        for world in (beyond, inside):
            world.begin(np.arange(50), np.arange(50))
        told = beyond.click_probabilities(np.arange(50), np.tile(action, (50, 1)))
        limited = inside.click_probabilities(np.arange(50), np.tile(np.clip(action, -1, 1), (50, 1)))
        assert np.allclose(told, limited) == clip
        beyond.show(np.tile(action, (50, 1)))
        inside.show(np.tile(np.clip(action, -1, 1), (50, 1)))
        assert (beyond.clipped == clip).all() and not inside.clipped.any()


def test_refusals():
    with pytest.raises(SettingsError, match="paired"):
        World(Settings(weights=STAND_IN, stream="original"), 2)
    with pytest.raises(SettingsError, match="paired"):
        compare_arms(Settings(weights=STAND_IN, stream="original"), {}, customers=2)
    with pytest.raises(NoCustomerError):
        World(Settings(weights=STAND_IN)).show(np.zeros((1, 27)))
