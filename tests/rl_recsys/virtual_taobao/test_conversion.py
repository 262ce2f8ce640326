"""A checkout of the original becomes a folder of arrays, and what is not of it is named."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from jobs.prepare_virtual_taobao import Arguments, main
from rl_recsys.errors import UserError
from rl_recsys.virtual_taobao import Settings, World
from rl_recsys.virtual_taobao.networks import LAYERS
from rl_recsys.virtual_taobao.stand_in import stand_in_arrays
from rl_recsys.virtual_taobao.weights import PUBLISHED, Weights, WeightsError, open_weights
from tests.virtual_taobao_recorded import published

torch = pytest.importorskip("torch")


def checkout(folder, arrays):
    """Files of the original's form, as torch wrote them in its time."""
    data = folder / "virtualTB" / "data"
    data.mkdir(parents=True)
    for network in LAYERS:
        state = {
            name.removeprefix(f"{network}."): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith(f"{network}.")
        }
        torch.save(state, data / f"{network}_model.pt", _use_new_zipfile_serialization=False)
    return folder


@pytest.fixture
def original(tmp_path):
    return checkout(tmp_path / "original", stand_in_arrays(5))


def converted(folder, out, **flags):
    main(Arguments(checkout=folder, out=out, **flags))
    return open_weights(str(out))


def test_published_networks_are_known_by_their_numbers(tmp_path):
    weights = converted(checkout(tmp_path / "original", published().arrays), tmp_path / "out", any_networks=True)
    assert weights.fingerprint == PUBLISHED and weights.called == "the published networks"
    assert all((array == published().arrays[name]).all() for name, array in weights.arrays.items())


def test_other_networks_are_taken_if_that_is_said(original, tmp_path, capsys):
    weights = converted(original, tmp_path / "out", any_networks=True)
    assert weights.fingerprint == Weights("", stand_in_arrays(5)).fingerprint != PUBLISHED
    assert "other networks than the published" in " ".join(capsys.readouterr().out.split())
    World(Settings(weights=str(tmp_path / "out")))
    converted(original, tmp_path / "out", any_networks=True)  # takes the place of the one before
    with pytest.raises(WeightsError, match="generator_model.pt: not the published file.*--any-networks"):
        converted(original, tmp_path / "other")
    assert not (tmp_path / "other").exists()


class Foreign:
    """Something that runs when it is unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


def foreign(data):
    with open(data / "leave_model.pt", "wb") as file:
        pickle.dump(Foreign(), file)


def truncated(data):
    path = data / "action_model.pt"
    path.write_bytes(path.read_bytes()[:20_000])


def swapped(data):
    (data / "action_model.pt").replace(data / "generator_model.pt")
    (data / "leave_model.pt").replace(data / "action_model.pt")


def missing(data):
    (data / "leave_model.pt").unlink()


def infinite(data):
    state = torch.load(data / "action_model.pt", weights_only=True)
    state["2.bias"][3] = float("inf")
    torch.save(state, data / "action_model.pt")


def tensor(data):
    torch.save(torch.zeros(3), data / "generator_model.pt")


@pytest.mark.parametrize(
    "damage, said",
    [
        (foreign, "leave_model.pt: no file of a network"),
        (truncated, "action_model.pt: no file of a network"),
        (swapped, r"generator_model.pt: 0.weight is float32 \[128, 116\], expected float32 \[128, 128\]"),
        (missing, "leave_model.pt: missing"),
        (infinite, "action_model.pt: 2.bias has values that are not finite"),
        (tensor, "generator_model.pt: no file of a network"),
    ],
)
def test_what_is_no_file_of_it_is_named_in_a_line(original, tmp_path, capsys, damage, said):
    damage(original / "virtualTB" / "data")
    with pytest.raises(WeightsError, match=f"{said}.*name a checkout of github.com/eyounx/VirtualTaobao") as error:
        converted(original, tmp_path / "out", any_networks=True)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
    assert "unpickled" not in capsys.readouterr().out


def test_a_damaged_folder_is_named(original, tmp_path):
    out = tmp_path / "out"
    converted(original, out, any_networks=True)
    path = out / "networks.safetensors"
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="networks.safetensors: damaged.*prepare_virtual_taobao"):
        open_weights(str(out))
    path.unlink()
    with pytest.raises(UserError, match="networks.safetensors: missing"):
        open_weights(str(out))


@pytest.mark.parametrize("place", ["nowhere", "stand-in", "stand-in:x", "stand-in:-1", "stand-in:²"])
def test_a_place_without_networks_is_named(place):
    with pytest.raises(WeightsError, match="stand-in:0"):
        open_weights(place)


def test_stand_ins_hang_on_their_seed():
    first, second = open_weights("stand-in:1"), open_weights("stand-in:2")
    assert first.fingerprint != second.fingerprint == open_weights("stand-in:2").fingerprint
    assert "drawn by chance" in first.called
    assert all(np.isfinite(array).all() for array in first.arrays.values())
