from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from policies.base import MASKED, load_policy
from policies.bert.encoder_folder import _BUNDLED_SHA256, BUNDLED, EncoderError, encoder_folder
from policies.bert.pretrained import load_encoder
from policies.bert_choice.model import BertChoice
from policies.module_state import load_module_state, module_state
from policies.rllib import module_spec
from rl_recsys.core.encoding import EncodingError, load_decision_encoder
from rl_recsys.core.policy_folder import CONFIG_FILE, PolicyError, read_policy_file
from rl_recsys.errors import UserError
from rl_recsys.runs.provenance import maker
from rl_recsys.storage.folders import CONTENTS
from tests.conftest import SMALL


def rows(observation, chosen):
    return {key: value[chosen] for key, value in observation.items()}


def test_one_logit_for_each_available_action(model, observation):
    logits, pooled = model(observation)
    assert logits.shape == observation["mask"].shape and logits.dtype == torch.float32
    assert ((logits == MASKED) == (observation["mask"] == 0)).all()
    assert model.value(pooled).shape == (len(pooled),)


def test_a_decision_is_scored_alike_alone_and_in_any_batch(model, observation):
    logits, pooled = model(observation)
    for row in range(len(logits)):
        alone, alone_pooled = model(rows(observation, [row]))
        torch.testing.assert_close(alone[0], logits[row], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone_pooled[0], pooled[row], atol=1e-5, rtol=1e-4)


def test_scoring_without_gradient_uses_the_cache_until_the_weights_change(policy_folder, observation):
    model = load_policy(policy_folder)
    model.precision = torch.float32
    expected = model(observation)[0].detach()
    with torch.no_grad():
        torch.testing.assert_close(model(observation)[0], expected, atol=1e-5, rtol=1e-5)
        kept = len(model.encoder._texts.join(model.encoder._precision).tensors)
        torch.testing.assert_close(model(observation)[0], expected, atol=1e-5, rtol=1e-5)
        assert len(model.encoder._texts.join(model.encoder._precision).tensors) == kept > 0
        for parameter in model.encoder.parameters():
            parameter.mul_(1.1)
        changed = model(observation)[0]
    torch.testing.assert_close(changed, model(observation)[0].detach(), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(changed, expected)


def test_two_candidates_score_as_they_do_among_all(model, observation):
    """What DPO relies on: only the preferred and the rejected action are scored."""
    logits, _ = model(observation)
    many = (observation["mask"].sum(1) > 3).nonzero().squeeze(1)
    pairs = torch.tensor([[2, 0]] * len(many))
    index = torch.arange(len(many))[:, None]
    some = rows(observation, many)
    two, _ = model(
        {
            "state": some["state"], "positions": pairs,
            **{key: some[key][index, pairs] for key in ("actions", "kinds", "mask")},
        }
    )  # fmt: skip
    torch.testing.assert_close(two, logits[many][index, pairs], atol=1e-4, rtol=1e-4)


def test_a_page_without_actions_gives_no_nan(model, observation):
    empty = {key: value[:2].clone() for key, value in observation.items()}
    empty["mask"][0] = 0
    empty["actions"][0] = 0
    logits, pooled = model(empty)
    assert torch.isfinite(logits).all() and (logits[0] == MASKED).all() and torch.isfinite(pooled).all()


def test_every_part_learns(policy_folder, observation):
    model = load_policy(policy_folder).train()
    logits, pooled = model(observation)
    loss = torch.nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
    (loss + model.value(pooled).square().mean()).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert not without
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_a_policy_folder_is_whole_and_loads_to_the_same_model(model, policy_folder, observation, tmp_path):
    model.save_pretrained(tmp_path / "p", training={"algorithm": "none"})
    model.save_pretrained(tmp_path / "p", training={"algorithm": "again"})
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [
        "config.json", "contents.json", "model.safetensors", "tokenizer.json", "training.json",
    ]  # fmt: skip
    training = json.loads((tmp_path / "p" / "training.json").read_text())
    assert training == {"made_with": [maker()], "algorithm": "again"}
    again = load_policy(tmp_path / "p")
    torch.testing.assert_close(again(observation)[0], model(observation)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_to_load_and_play_a_policy_imports_no_compiler(policy_folder, shop_folder):
    """torch's own is 70 MB and 1.4 s in each worker; some of its functions import it on the meta device."""
    code = f"""if True:
        import sys
        from policies.base import load_policy
        from policies.play import policy_episodes
        from rl_recsys.core.task import open_task
        task = open_task({f"webshop:{shop_folder}"!r})
        list(policy_episodes(load_policy({str(policy_folder)!r}), task, list(task.split("train"))[:1], greedy=True))
        print({{"torch._dynamo", "torch._inductor", "sympy", "transformers"}} & sys.modules.keys())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_flipped_bits_of_a_policy_are_found(policy_folder, tmp_path):
    folder, rng = shutil.copytree(policy_folder, tmp_path / "policy"), random.Random(0)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "training.json"):
        whole = (folder / name).read_bytes()
        for place in (0, len(whole) - 1, *rng.sample(range(len(whole)), 5)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << rng.randrange(8)
            (folder / name).write_bytes(flipped)
            for read in (
                load_policy,
                load_decision_encoder,
                lambda path: read_policy_file(path, CONFIG_FILE),
            ):
                with pytest.raises(PolicyError, match=f"{name}: damaged .*train the policy again or copy it whole"):
                    read(folder)
        (folder / name).write_bytes(whole)
    load_policy(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(PolicyError, match=r"tokenizer\.json: missing"):
        load_decision_encoder(folder)


def test_damaged_policy_folders_of_earlier_versions_name_the_file(policy_folder, tmp_path):
    with pytest.raises(PolicyError, match=r"config\.json: missing.*imitate\.py"):
        load_policy(tmp_path / "nothing")
    folder = tmp_path / "policy"
    shutil.copytree(policy_folder, folder)
    (folder / CONTENTS).unlink()
    load_policy(folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(PolicyError, match=r"model\.safetensors: missing or damaged"):
        load_policy(folder)
    (folder / "model.safetensors").write_bytes(weights[:-4] + b"\xff\xff\xff\xff")  # the last number is no number
    with pytest.raises(PolicyError, match=r"model\.safetensors: .* has values that are not finite"):
        load_policy(folder)
    (folder / "model.safetensors").write_bytes(weights)
    config = json.loads((folder / "config.json").read_text())
    for changed, message in (
        ({"width": 32}, r"model\.safetensors: does not fit config\.json"),
        ({"width": "many"}, r"config\.json: no policy can be made of it"),
        ({"encoder": {"hidden_size": "wide"}}, r"config\.json: no policy can be made of it"),
        ({"encoder": None}, r"config\.json: no policy can be made of it"),
    ):
        (folder / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(PolicyError, match=message):
            load_policy(folder)
    (folder / "config.json").write_text(json.dumps(config | {"shape": {"width": 3}}))
    with pytest.raises(PolicyError, match=r"config\.json: no encoder can be made of it \(shape has no 'state_to"):
        load_decision_encoder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(PolicyError, match=r"config\.json: damaged"):
        load_policy(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(EncodingError, match=r"tokenizer\.json: damaged"):
        load_decision_encoder(folder)


def test_the_bundled_encoder_is_verified_and_read_by_the_model(monkeypatch, task):
    folder = encoder_folder(BUNDLED)
    model = BertChoice.fresh(task)
    assert sum(parameter.numel() for parameter in model.parameters()) < 25_000_000
    assert (model.config["begin"], model.config["end"]) == (101, 102)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        monkeypatch.setattr("policies.bert.encoder_folder._BUNDLED_SHA256", _BUNDLED_SHA256 | {name: "0" * 64})
        with pytest.raises(EncoderError, match=f"{name}: sha256 .* is not the published model's"):
            encoder_folder(BUNDLED)
    assert folder.name == "model"


def test_a_folder_that_is_no_encoder_is_named(tmp_path, task):
    with pytest.raises(EncoderError, match=r"config\.json: missing"):
        BertChoice.fresh(task, encoder=str(tmp_path))


@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        ({"model_type": "roberta"}, {}, r"config\.json: no BERT that can be used here \(model_type is 'roberta'"),
        ({"hidden_act": "relu"}, {}, "hidden_act is 'relu', expected 'gelu'"),
        ({"hidden_size": 16}, {}, r"model\.safetensors: damaged, or not of this config\.json"),
        ({"num_hidden_layers": 3}, {}, r"model\.safetensors: has no encoder\.layer\.2\."),
        ({}, None, r"model\.safetensors: damaged"),
    ],
)
def test_an_encoder_that_does_not_fit_is_named(encoder_folder, tmp_path, config, weights, message, task):
    folder = shutil.copytree(encoder_folder, tmp_path / "encoder")
    found = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(found | config))
    if weights is None:
        (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(EncoderError, match=message):
        BertChoice.fresh(task, encoder=str(folder))


@pytest.mark.parametrize(
    ("change", "shape", "message"),
    [
        (
            {"positions": 64},
            SMALL,
            "the encoder reads 64 tokens at most .* --state-tokens is 128: .* 64 or fewer",
        ),
        (
            {"positions": 64},
            replace(SMALL, state_tokens=64, choice_tokens=65),
            "--choice-tokens is 65: make",
        ),
        ({"vocabulary": 40}, SMALL, "tokens, the encoder 40 .* not of one encoder"),
        ({"heads": 3}, SMALL, "hidden_size is 32, expected a multiple of num_attention_heads, 3"),
        ({"layers": -1}, SMALL, "num_hidden_layers is -1, it must be at least 1 and at most 1000"),
        ({"layers": "two"}, SMALL, "num_hidden_layers is 'two', expected a whole number"),
        ({"without": "[PAD]"}, SMALL, r"tokenizer.json: the tokenizer has no \[PAD\] token"),
        ({"without": "[SEP]"}, SMALL, r"tokenizer.json: the tokenizer has no \[SEP\] token"),
    ],
)
def test_an_encoder_too_small_for_its_tokenizer_or_shape_is_refused_when_it_is_read(
    encoder_folder, tmp_path, change, shape, message, task
):
    """It was taken, and ended with "index out of range in self" at some page."""
    folder = shutil.copytree(encoder_folder, tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    if "positions" in change:
        config["max_position_embeddings"] = change["positions"]
        name = "embeddings.position_embeddings.weight"
        weights[name] = weights[name][: change["positions"]].clone()
    if "vocabulary" in change:
        config["vocab_size"] = change["vocabulary"]
        name = "embeddings.word_embeddings.weight"
        weights[name] = weights[name][: change["vocabulary"]].clone()
    config["num_attention_heads"] = change.get("heads", config["num_attention_heads"])
    config["num_hidden_layers"] = change.get("layers", config["num_hidden_layers"])
    if "without" in change:
        tokenizer = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(tokenizer.replace(change["without"], "[GONE]"))
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=message):
        BertChoice.fresh(task, encoder=str(folder), **vars(shape))


def test_a_policy_whose_tokenizer_is_anothers_is_refused_when_it_is_read(policy_folder, tmp_path):
    shutil.copytree(policy_folder, tmp_path / "policy")
    (tmp_path / "policy" / CONTENTS).unlink()  # as a policy of an earlier version, without checksums
    config = json.loads((tmp_path / "policy" / "config.json").read_text())
    for key, value, message in (
        ("vocab_size", 40, "not of one encoder"),
        ("max_position_embeddings", 100, "the encoder reads 100 tokens at most"),
        ("num_attention_heads", 0, "num_attention_heads is 0, it must be at least 1"),
    ):
        changed = config | {"encoder": config["encoder"] | {key: value}}
        (tmp_path / "policy" / "config.json").write_text(json.dumps(changed))
        read = load_policy if key == "num_attention_heads" else load_decision_encoder
        with pytest.raises(UserError, match=message):
            read(tmp_path / "policy")


def test_the_weights_of_a_model_with_a_head_are_found(encoder_folder, tmp_path):
    folder = shutil.copytree(encoder_folder, tmp_path / "encoder")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    first = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): tensor for name, tensor in weights.items()}
    safetensors.torch.save_file(
        {f"bert.{name}": tensor for name, tensor in first.items()}, folder / "model.safetensors"
    )
    one, other = (load_encoder(path).state_dict() for path in (encoder_folder, folder))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_encoder_that_cannot_be_downloaded_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match=r"no such folder, and the hub gave.*--encoder minilm"):
        encoder_folder("nobody/has-this-model")


def build_module(model, **options):
    spec = module_spec(model.config)
    module = spec.module_class(model_config=spec.model_config, **options)
    return module


def test_the_rllib_module_computes_what_the_model_does(model, observation):
    module = build_module(model)
    module.set_state(module_state(model))
    logits, pooled = model(observation)
    batch = {"obs": observation}
    trained = module.forward_train(batch)
    torch.testing.assert_close(trained["action_dist_inputs"], logits, atol=1e-5, rtol=1e-5)
    explored = module.forward_exploration(batch)
    assert set(explored) == {"action_dist_inputs", "embeddings"}
    several = observation["mask"].sum(1) > 1
    torch.testing.assert_close(explored["action_dist_inputs"][several], logits[several], atol=1e-4, rtol=1e-4)
    assert (~several).any() and torch.isfinite(explored["action_dist_inputs"]).all()
    torch.testing.assert_close(explored["embeddings"][several], pooled[several], atol=1e-4, rtol=1e-4)
    expected = model.value(pooled).detach()
    torch.testing.assert_close(module.compute_values(batch, pooled), expected)
    # What the rollout did not encode (a single action), and rows that only repeat another's, are encoded afresh.
    kept = explored["embeddings"].detach().clone()
    mask = torch.ones(len(kept), dtype=torch.bool)
    repeated = several.nonzero().flatten()[1]
    kept[repeated], mask[repeated] = kept[several.nonzero().flatten()[0]], False
    values = module.compute_values(batch | {"embeddings": kept, "loss_mask": mask})
    assert not values.requires_grad
    torch.testing.assert_close(values, expected, atol=1e-4, rtol=1e-4)


def test_an_episode_that_is_over_is_worth_nothing_more(model, observation):
    module = build_module(model)
    over = {key: value.clone() for key, value in observation.items()}
    over["mask"][1] = 0
    kept = torch.ones(len(over["mask"]), 32)
    values = module.compute_values({"obs": over, "embeddings": kept})
    assert values[1] == 0 and (values[2:] != 0).all()


def test_values_are_of_what_the_rollout_encoded(model, observation, monkeypatch):
    module = build_module(model)
    encoded = []
    monkeypatch.setattr(module.model.encoder, "forward", lambda ids: encoded.append(len(ids)))
    kept = torch.ones(len(observation["mask"]), 32)
    module.compute_values({"obs": observation, "embeddings": kept, "loss_mask": kept[:, 0] > 0})
    assert not encoded


def test_an_environment_runners_module_has_no_value_head(model):
    module = build_module(model, inference_only=True)
    assert not any("value_head" in name for name in module.state_dict())
    learner = build_module(model)
    module.set_state(learner.get_state(inference_only=True))


def test_module_state_and_back(model, policy_folder):
    other = load_policy(policy_folder)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_module_state(other, module_state(model))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor)
