from __future__ import annotations

import errno
import random
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.core import trajectory_parts as parts
from rl_recsys.core.preferences import (
    better_and_worse,
    branching_decisions,
    diverging_decisions,
    lasting_steps,
    sample_actions,
    without_loops,
    without_shared_start,
)
from rl_recsys.core.trajectory import (
    SCHEMA,
    Step,
    Trajectory,
    TrajectoryError,
    TrajectoryWriter,
    read_trajectories,
    schema_of,
)
from rl_recsys.core.trajectory_parts import was_ended


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


def without_checksums(folder) -> None:
    """As an earlier version wrote it."""
    (folder / "part-00000.sums").unlink()


def test_a_part_is_an_arrow_stream(tmp_path):
    write(tmp_path, episode(0), episode(1))
    with pa.ipc.open_stream(tmp_path / "part-00000.arrows") as stream:
        assert stream.read_all().column("goal_index").to_pylist() == [0, 1]


@pytest.mark.parametrize("missing", range(1, 400, 21))
def test_a_killed_writer_loses_the_episode_in_hand_only(tmp_path, missing):
    """A kill cuts the block that is written, or the line about it, which is written after it."""
    write(tmp_path, *map(episode, range(3)))
    part, sums = tmp_path / "part-00000.arrows", tmp_path / "part-00000.sums"
    blocks, lines = part.read_bytes(), sums.read_bytes().splitlines(keepends=True)
    assert was_ended(part)
    sums.write_bytes(b"".join(lines[:3]))  # of the head and two episodes
    part.write_bytes(blocks[: int(lines[3].split()[0]) - missing])
    assert list(read_trajectories(tmp_path)) == [episode(0), episode(1)]
    assert not was_ended(part)
    with TrajectoryWriter(tmp_path) as writer:  # a run that goes on
        writer.append(episode(2))
    assert list(read_trajectories(tmp_path)) == list(map(episode, range(3)))
    for path in (part, sums):
        path.write_bytes(b"")
    assert list(read_trajectories(tmp_path)) == [episode(2)]


@given(kept=st.integers(0, 200))
def test_whole_episodes_whose_checksums_were_lost_are_read(tmp_path_factory, kept):
    """As a kill between a block and its line leaves them, or one between two copies to a bucket."""
    folder = tmp_path_factory.mktemp("part")
    write(folder, *map(episode, range(4)))
    sums = folder / "part-00000.sums"
    lines = sums.read_bytes()
    sums.write_bytes(lines[:kept])
    assert was_ended(folder / "part-00000.arrows") == (kept >= len(lines))
    found = list(read_trajectories(folder))
    assert found == [episode(number) for number in range(4)]


def test_flipped_bits_are_found(tmp_path):
    episodes = [episode(number) for number in range(3)]
    write(tmp_path, *episodes)
    head = int((tmp_path / "part-00000.sums").read_text().split()[0])
    bit = random.Random(0)
    for path in (tmp_path / "part-00000.arrows", tmp_path / "part-00000.sums"):
        whole = path.read_bytes()
        for place in (*range(0, len(whole), 5), len(whole) - 1):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit.randrange(8)
            path.write_bytes(flipped)
            try:
                assert list(read_trajectories(tmp_path)) == episodes
                assert path.suffix == ".sums" and place == len(whole) - 1  # the last line's end
            except TrajectoryError as error:
                assert re.search(r"part-00000\.arrows: (episode \d|its head|its end).* damaged .*--salvage", str(error))
            found = list(read_trajectories(tmp_path, skip=lambda error: None))
            # What is damaged is the one episode, or two where it is the line that says where one ends and one begins.
            assert all(one in episodes for one in found)
            assert len(found) >= (2 if path.suffix == ".arrows" else 1) or place < head, (path, place)
        path.write_bytes(whole)


def test_a_cut_is_told_from_a_kill(tmp_path):
    write(tmp_path, *map(episode, range(6)))
    part = tmp_path / "part-00000.arrows"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrajectoryError, match=r"part-00000\.arrows: episode 3 is damaged \(the part was cut\)"):
        list(read_trajectories(tmp_path))
    said = []
    assert list(read_trajectories(tmp_path, skip=said.append)) == [episode(0), episode(1)]
    assert len(said) == 5  # four episodes and the end
    part.write_bytes(whole + b"more")
    with pytest.raises(TrajectoryError, match=r"its end, after episode 6, is damaged \(there is more than was written"):
        list(read_trajectories(tmp_path))
    part.unlink()
    with pytest.raises(TrajectoryError, match=r"part-00000\.arrows: missing, its checksums are here"):
        list(read_trajectories(tmp_path))


def test_an_earlier_part_without_checksums_is_validated(tmp_path):
    write(tmp_path, *map(episode, range(6)))
    without_checksums(tmp_path)
    part = tmp_path / "part-00000.arrows"
    assert list(read_trajectories(tmp_path)) == [episode(number) for number in range(6)]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"part-00000\.arrows: it ends at episode 3, without an end marker"):
        assert len(list(read_trajectories(tmp_path))) == 2
    goal = whole.index(b'{"asin": "B"}')
    part.write_bytes(whole[:goal] + b'["asin": "B"}' + whole[goal + 13 :])
    with pytest.raises(TrajectoryError, match=r"episode 1 is damaged \(Expecting ',' delimiter"):
        list(read_trajectories(tmp_path))
    assert len(list(read_trajectories(tmp_path, skip=lambda error: None))) == 5


def as_batch(*episodes: Trajectory) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([one.to_row() for one in episodes], SCHEMA)


def append(folder, batch: pa.RecordBatch) -> None:
    """Write an episode as another program might have laid it out."""
    folder.mkdir(exist_ok=True)
    writer = parts.PartWriter(folder, schema_of("webshop"))
    writer.append(batch)
    writer.close()


def test_an_episode_cut_out_of_a_longer_table_is_that_episode(tmp_path):
    many = as_batch(*map(episode, range(5)))
    for number in (3, 0):
        append(tmp_path, many.slice(number, 1))
    assert list(read_trajectories(tmp_path)) == [episode(3), episode(0)]


def hidden(array: pa.Array) -> pa.Array:
    """The same rows, all missing: what they were stays in memory under them, as Arrow allows."""
    if pa.types.is_list(array.type):
        return pa.ListArray.from_arrays(
            array.offsets, array.values, type=array.type, mask=pa.array([True] * len(array))
        )
    nothing = pa.py_buffer(bytes(len(array) // 8 + 1))
    return pa.Array.from_buffers(array.type, len(array), [nothing, *array.buffers()[1:]])


@pytest.mark.parametrize(
    "name", [*SCHEMA.names, *(f"steps {field.name}" for field in SCHEMA.field("steps").type.value_type)]
)
def test_a_missing_value_is_damage_and_what_lies_under_it_is_not_read(tmp_path, name):
    batch = as_batch(episode(1))
    column, _, field = name.partition(" ")
    array = batch.column(column)
    if field:
        steps = array.values
        kept = [
            hidden(steps.field(at)) if at == steps.type.get_field_index(field) else steps.field(at)
            for at in range(steps.type.num_fields)
        ]
        changed = pa.ListArray.from_arrays(
            array.offsets, pa.StructArray.from_arrays(kept, fields=list(steps.type)), type=array.type
        )
    else:
        changed = hidden(array)
    batch = batch.set_column(batch.schema.get_field_index(column), SCHEMA.field(column), changed)
    append(tmp_path, batch)
    with pytest.raises(TrajectoryError, match=rf"episode 1 is damaged \(a value is missing in its {column}\)"):
        list(read_trajectories(tmp_path))


def test_no_flipped_bit_of_an_earlier_part_ends_the_process(tmp_path):
    write(tmp_path, *map(episode, range(2)))
    without_checksums(tmp_path)
    code = """if True:
        import random, sys, warnings
        from pathlib import Path
        from rl_recsys.core.trajectory import TrajectoryError, read_trajectories
        warnings.simplefilter("ignore")
        part, rng, errors = next(Path(sys.argv[1]).glob("*.arrows")), random.Random(0), 0
        whole = part.read_bytes()
        for place in rng.sample(range(len(whole)), 1000):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << rng.randrange(8)
            part.write_bytes(flipped)
            try:
                list(read_trajectories(part.parent))
            except TrajectoryError:
                errors += 1
        print(errors)
    """
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) > 100


def test_an_episode_that_cannot_be_written_whole_leaves_nothing(tmp_path, monkeypatch):
    with TrajectoryWriter(tmp_path) as writer:
        writer.append(episode(0))
        real, calls = parts._write_all, []

        def full(file, data):
            calls.append(file)
            real(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(parts, "_write_all", full)
        with pytest.raises(OSError, match="No space left"):
            writer.append(episode(1))
        monkeypatch.setattr(parts, "_write_all", real)
        writer.append(episode(2))
    assert list(read_trajectories(tmp_path)) == [episode(0), episode(2)]


def test_what_is_no_trajectory_folder_is_named(tmp_path):
    with pytest.raises(TrajectoryError, match=r"no trajectories here.*demonstrate\.py"):
        list(read_trajectories(tmp_path))
    (tmp_path / "part-00000.arrows").write_bytes(b"something else entirely, and long enough")
    with pytest.raises(TrajectoryError, match=r"part-00000\.arrows: not a trajectory file"):
        list(read_trajectories(tmp_path))


def test_the_source_is_one_of_three():
    with pytest.raises(ValueError, match="source 'robot': choose one of human, scripted, policy"):
        episode(0, source="robot")


def at(url: str, chosen: int = 0) -> Step:
    return Step(url, "page", ("find",), ("click[a]", "click[b]"), ("a", "b"), (2, 2), chosen)


def test_loops_are_cut_out():
    def kept(urls: str) -> list[tuple[str, int]]:
        return [(step.url, step.chosen) for step in without_loops([at(url, n) for n, url in enumerate(urls)])]

    assert kept("abc") == [("a", 0), ("b", 1), ("c", 2)]
    assert kept("abac") == [("a", 2), ("c", 3)]
    assert kept("abcbad") == [("a", 4), ("d", 5)]
    assert kept("abcbd") == [("a", 0), ("b", 3), ("d", 4)]
    assert kept("aaa") == [("a", 2)]
    assert kept("") == []


@given(st.text("abcd", max_size=12))
def test_without_loops_no_place_is_twice_and_each_follows_what_it_followed(urls):
    kept = [step.chosen for step in without_loops([at(url, number) for number, url in enumerate(urls)])]
    places = [urls[number] for number in kept]
    assert len(set(places)) == len(places)
    assert places[:1] == list(urls[:1]) and places[-1:] == list(urls[-1:])
    # What comes after a kept step came after that very step.
    assert all(urls[before + 1] == urls[after] for before, after in zip(kept, kept[1:], strict=False))


def rewarded(reward: float, *steps: Step) -> Trajectory:
    return Trajectory({}, 0, "policy", "test", 0, steps, reward, True)


def test_every_better_episode_is_compared_with_every_worse():
    low, middle, high = (rewarded(reward) for reward in (0.1, 0.5, 1.0))
    found = better_and_worse([middle, low, high, middle])
    assert sorted((one.reward, other.reward) for one, other in found) == [
        (0.5, 0.1), (0.5, 0.1), (1.0, 0.1), (1.0, 0.5), (1.0, 0.5),
    ]  # fmt: skip
    assert better_and_worse([middle, middle]) == []


def test_what_two_episodes_did_at_one_place_is_compared():
    def found(better: str, worse: str) -> list[tuple[str, int, int]]:
        """Episodes as "place action place action ..."."""
        one, other = ([at(text[n], int(text[n + 1])) for n in range(0, len(text), 2)] for text in (better, worse))
        return [(a.step.url, a.step.chosen, a.rejected) for a in diverging_decisions(one, other)]

    assert found("a0b1", "a0b0") == [("b", 1, 0)]
    assert found("a0b1c1", "a1d0c0") == [("a", 0, 1), ("c", 1, 0)]
    assert found("a0b0", "a0b0") == []
    assert found("a1b0a0c0", "a1b0a1d0") == [("a", 0, 1)]  # the better one undid its first choice
    other_page = replace(at("a"), actions=("click[a]",), choices=("a",), kinds=(2,))
    assert diverging_decisions([at("a", 1)], [other_page]) == []


def test_where_branches_leave_an_episode_what_earned_more_is_preferred():
    def episode(reward: float, *actions: int) -> Trajectory:
        steps = [replace(at(f"p{place}"), chosen=action) for place, action in enumerate(actions)]
        return rewarded(reward, *steps)

    def found(trunk, *branches) -> list[tuple[str, int, int]]:
        return sorted((a.step.url, a.step.chosen, a.rejected) for a in branching_decisions(trunk, branches))

    trunk = episode(0.5, 0, 0, 0)
    assert found(trunk, episode(1.0, 0, 1, 1)) == [("p1", 1, 0)]  # what follows is no choice of the branch's
    assert found(trunk, episode(0.0, 0, 1)) == [("p1", 0, 1)]
    assert found(trunk, episode(0.5, 1, 1)) == []
    # Two that leave at one decision are compared with each other too, two that leave elsewhere are not.
    assert found(trunk, episode(1.0, 0, 1), episode(0.1, 0, 2)) == [("p1", 0, 2), ("p1", 1, 0), ("p1", 1, 2)]
    assert found(trunk, episode(1.0, 1), episode(0.1, 0, 1)) == [("p0", 1, 0), ("p1", 0, 1)]


def test_the_start_that_two_episodes_share_is_left_out():
    one, other = [at("a"), at("b"), at("c")], [at("a"), at("b", 1)]
    assert without_shared_start(one, other) == ([at("b"), at("c")], [at("b", 1)])
    assert without_shared_start(one, one[:2]) == ([at("c")], [])


def test_actions_that_were_undone_are_not_preferred():
    # results, a product, results again with it seen, the product once more, results as before, the right product
    places = [("results", "0 seen"), ("a", ""), ("results", "1 seen"), ("a", ""), ("results", "1 seen"), ("b", "")]
    steps = [Step(url, "", ("wanted", said), (), (), (), number) for number, (url, said) in enumerate(places)]
    assert [step.chosen for step in lasting_steps(steps)] == [0, 3, 4, 5]
    # reviews, which say nothing, until there is no time
    places = [("a", "alone, time for another"), ("reviews", ""), ("a", "alone, no time for another")]
    steps = [Step(url, "", ("wanted", said), (), (), (), number) for number, (url, said) in enumerate(places)]
    assert [step.chosen for step in lasting_steps(steps)] == [1, 2]


@given(st.integers(1, 8), st.integers(0, 1000))
def test_the_drawn_action_is_available(available, seed):
    logits = np.full((1, 8), -1e9)
    logits[0, :available] = np.random.default_rng(seed).normal(size=available)
    assert sample_actions(logits, np.random.default_rng(seed))[0] < available


def test_actions_are_drawn_from_the_reference():
    logits = np.tile(np.log([0.5, 0.4, 0.1]), (20_000, 1))
    drawn = sample_actions(logits, np.random.default_rng(0))
    assert np.bincount(drawn) / len(drawn) == pytest.approx([0.5, 0.4, 0.1], abs=0.02)
