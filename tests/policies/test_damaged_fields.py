"""Every field of the files of policies, query models and encoders, damaged: read as it was, or the file is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.base import freezable_layers, load_policy
from policies.bert.encoder_folder import EncoderError
from policies.bert.pretrained import load_encoder
from policies.queries import KeywordQueries, load_query_model
from rl_recsys.core.encoding import load_decision_encoder, require_readable
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError
from rl_recsys.storage.folders import CONTENTS
from tests.damage import damaged

#: Fields of which other values are as good as the file can tell; its checksum, which these folders lack, tells more.
FREE = {("apart_layers",), ("encoder", "num_attention_heads"), ("keyword_encoder", "num_attention_heads")}


@pytest.fixture
def unlisted(tmp_path) -> Callable[[Path], Path]:
    """A copy of a folder as an earlier version wrote it, without checksums."""

    def copy(folder: Path) -> Path:
        made = shutil.copytree(folder, tmp_path / "copy")
        (made / CONTENTS).unlink(missing_ok=True)
        return made

    return copy


def policy_and_encoder(folder: Path, task: Task) -> Any:
    policy, encoder = load_policy(folder), load_decision_encoder(folder)
    require_readable(task, encoder)
    assert freezable_layers(folder) == policy.layers
    return policy.config, encoder.reads, encoder.shape, encoder.kinds, policy.decision_encoder.reads


def test_a_policys_config(policy_folder, unlisted, task):
    folder = unlisted(policy_folder)
    path, whole = folder / "config.json", policy_and_encoder(folder, task)
    for one in damaged(json.loads(path.read_text())):
        path.write_text(json.dumps(one.value))
        try:
            assert policy_and_encoder(folder, task) == whole or one.path in FREE, one
        except UserError as error:
            assert str(folder) in str(error) and "\n" not in str(error), (one, error)


def test_a_query_models_config(encoder_folder, unlisted, tmp_path):
    torch.manual_seed(0)
    KeywordQueries.from_encoder(str(encoder_folder)).save_pretrained(tmp_path / "queries", {})
    folder = unlisted(tmp_path / "queries")
    path, asked = folder / "config.json", ["a red shirt"]
    whole = load_query_model(folder).candidates(asked, 2)
    for one in damaged(json.loads(path.read_text())):
        path.write_text(json.dumps(one.value))
        try:
            assert load_query_model(folder).candidates(asked, 2) == whole or one.path in FREE, one
        except PolicyError as error:
            assert str(folder) in str(error) and "\n" not in str(error), (one, error)


def test_an_encoders_config(encoder_folder, unlisted):
    folder = unlisted(encoder_folder)
    path, whole = folder / "config.json", load_encoder(folder)
    for one in damaged(json.loads(path.read_text())):
        path.write_text(json.dumps(one.value))
        try:
            assert load_encoder(folder).shape == whole.shape, one
        except EncoderError as error:
            assert str(folder) in str(error) and "\n" not in str(error), (one, error)


def test_a_tokenizer(policy_folder, unlisted):
    folder = unlisted(policy_folder)
    path, whole = folder / "tokenizer.json", (policy_folder / "tokenizer.json").read_bytes()
    written = json.loads(whole)
    words = written["model"]["vocab"]
    few = written | {"model": written["model"] | {"vocab": dict(list(words.items())[:8])}}
    others = written | {"model": written["model"] | {"vocab": {word: n + 99_999 for word, n in words.items()}}}
    texts = [json.dumps(value).encode() for value in (few, others, {**written, "model": {"type": "WordLevel"}}, [], 1)]
    for damage in (*texts, whole[:1000], whole[:-1], b"", b"{}", b"null", whole.replace(b"[CLS]", b"[ZZZ]")):
        path.write_bytes(damage)
        with pytest.raises(UserError) as error:
            load_policy(folder)
        assert str(folder) in str(error.value) and "tokenizer.json" in str(error.value), damage[:80]
    words |= {"begin": words["[CLS]"], "[CLS]": words["item"], "item": words["[CLS]"]}  # as of another training
    path.write_text(json.dumps(written))
    with pytest.raises(UserError, match=r"config\.json: .*begin is token 2, tokenizer\.json has \d+ for it"):
        load_policy(folder)
