from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.trajectories.preferences import lasting_steps, sample_actions
from rl_recsys.trajectories.record import Step, Trajectory, TrajectoryError, TrajectoryWriter, read_trajectories


def episode(number: int, reward: float = 1.0, source: str = "scripted") -> Trajectory:
    step = Step("url", "page", ("find", "search"), ("search[a]", "click[b]"), ("a", "b"), (1, 2), number % 2)
    return Trajectory({"asin": "B"}, number, source, "test", 0, (step, step), reward, True, {"r_att": 1.0})


def write(folder, *episodes: Trajectory) -> None:
    with TrajectoryWriter(folder) as writer:
        for one in episodes:
            writer.append(one)


def test_episodes_come_back_as_they_were_from_all_parts(tmp_path):
    write(tmp_path, episode(0), episode(1))
    write(tmp_path, episode(2))
    assert list(read_trajectories(tmp_path)) == [episode(0), episode(1), episode(2)]
    assert episode(0).success and not episode(0, 0.99).success


def test_filters(tmp_path):
    write(tmp_path, episode(0, 0.5), episode(1), episode(2, 1.0, "policy"))
    assert [one.goal_index for one in read_trajectories(tmp_path, minimum_reward=1.0)] == [1, 2]
    assert [one.goal_index for one in read_trajectories(tmp_path, sources=["policy"])] == [2]


def test_a_killed_writer_loses_the_episode_in_hand_only(tmp_path):
    write(tmp_path, *map(episode, range(3)))
    part = tmp_path / "part-00000.arrows"
    whole = part.read_bytes()
    for size in (len(whole) - 1, len(whole) - 20, len(whole) - 600):
        part.write_bytes(whole[:size])
        assert len(list(read_trajectories(tmp_path))) >= 2
    part.write_bytes(b"")
    assert list(read_trajectories(tmp_path)) == []


def test_what_is_no_trajectory_folder_is_named(tmp_path):
    with pytest.raises(TrajectoryError, match=r"no trajectories here.*demonstrate\.py"):
        list(read_trajectories(tmp_path))
    (tmp_path / "part-00000.arrows").write_bytes(b"something else entirely, and long enough")
    with pytest.raises(TrajectoryError, match=r"part-00000\.arrows: not a trajectory file"):
        list(read_trajectories(tmp_path))


def test_the_source_is_one_of_three():
    with pytest.raises(ValueError, match="source 'robot': choose one of human, scripted, policy"):
        episode(0, source="robot")


def test_actions_that_were_undone_are_not_preferred():
    # results, a wrong product, its features, the product, results again, the right product
    places = ["results", "wrong", "features", "wrong", "results", "right"]
    steps = [Step(place, "", (), (), (), (), number) for number, place in enumerate(places)]
    assert [step.chosen for step in lasting_steps(steps)] == [2, 3, 4, 5]


@given(st.integers(1, 8), st.integers(0, 1000))
def test_the_drawn_action_is_available(available, seed):
    logits = np.full((1, 8), -1e9)
    logits[0, :available] = np.random.default_rng(seed).normal(size=available)
    assert sample_actions(logits, np.random.default_rng(seed))[0] < available


def test_actions_are_drawn_from_the_reference():
    logits = np.tile(np.log([0.5, 0.4, 0.1]), (20_000, 1))
    drawn = sample_actions(logits, np.random.default_rng(0))
    assert np.bincount(drawn) / len(drawn) == pytest.approx([0.5, 0.4, 0.1], abs=0.02)
