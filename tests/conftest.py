"""Shared pieces: the demo shop compiled once, a tiny random policy, one Ray session."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import hypothesis
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

from policies.bert_choice.model import BertChoice
from rl_recsys.core.play import demonstration
from rl_recsys.core.text_encoding import EncodingShape
from rl_recsys.core.trajectory import TrajectoryWriter
from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.task import WebShop
from tests.extension.installed import install

hypothesis.settings.register_profile("loaded", deadline=None)  # nothing here asserts a time
hypothesis.settings.load_profile("loaded")

# What tests leave in the user's cache goes with them.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="rl-recsys-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

# A world, a policy and a loss of somebody else's, for this process and for those that it starts.
OFFERED = Path(tempfile.mkdtemp(prefix="rl-recsys-toy-"))
atexit.register(shutil.rmtree, OFFERED, ignore_errors=True)
install(OFFERED)
sys.path.append(str(OFFERED))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(OFFERED))))

# Hundreds of processes import the project: where no bytecode may be kept, each compiles it anew, for half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

torch.set_num_threads(1)  # tiny models: a second thread only waits
os.environ["OMP_NUM_THREADS"] = "1"  # in the processes that tests start as well

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
WEBSHOP_1K = SHARED / "webshop-1k"
RECORDED = SHARED / "recorded" / "original_sessions.jsonl"
SMALL = EncodingShape(state_tokens=128, choices=24, choice_tokens=24)


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory) -> Path:
    """A compiled demo shop of 200 products with real Lucene."""
    root = tmp_path_factory.mktemp("shop")
    items, attributes, human = write_demo_files(root, products=200, seed=1)
    # The 1k protocol keeps the first 500 goals for the test, so the small shop must have more.
    compile_shop(Source(items, attributes, human), root / "demo", seed=3)
    return root / "demo"


@pytest.fixture(scope="session")
def shop(shop_folder) -> Shop:
    return Shop.open(shop_folder)


@pytest.fixture(scope="session")
def task(shop) -> WebShop:
    """The demo shop as a task."""
    return WebShop(shop)


@pytest.fixture(scope="session")
def webshop_folder(tmp_path_factory) -> Path:
    """The real 1,000 products, where the data lies beside the project."""
    if not WEBSHOP_1K.is_dir():
        pytest.skip("the WebShop data is not here")
    source = Source(WEBSHOP_1K / "items_shuffle_1000.json", WEBSHOP_1K / "items_ins_v2_1000.json")
    out = tmp_path_factory.mktemp("webshop") / "1k"
    compile_shop(source, out)
    return out


@pytest.fixture(scope="session")
def webshop(webshop_folder) -> Shop:
    return Shop.open(webshop_folder)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory, shop) -> Path:
    """A two-layer BERT with random weights and a word-level tokenizer of the demo shop's words, as a local folder."""
    folder = tmp_path_factory.mktemp("encoder")
    texts = [shop.goal(index).instruction_text for index in range(shop.goal_count)]
    texts += [shop.product(asin).index_text for asin in {shop.goal(i).asin for i in range(shop.goal_count)}]
    words = sorted({word for text in texts for word in text.lower().replace(",", " ").split()})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"()[]:$.,&0123456789", "item", "option", "button"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary) + 8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=256,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory, encoder_folder, task) -> Path:
    """A policy on the tiny encoder with a fresh head."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("policy") / "policy"
    policy = BertChoice.fresh(task, encoder=str(encoder_folder), **vars(SMALL), width=16)
    policy.save_pretrained(folder, training={"fresh": True})
    return folder


@pytest.fixture(scope="session")
def scripted(tmp_path_factory, task) -> Callable[[int], Path]:
    """Makes a folder of scripted episodes of the first so many training goals, in the tiny policy's shape."""

    def record(count: int) -> Path:
        folder = tmp_path_factory.mktemp("scripted")
        with TrajectoryWriter(folder) as writer:
            for goal in task.split("train")[:count]:
                writer.append(demonstration(task, goal, max_choices=SMALL.choices))
        return folder

    return record


@pytest.fixture
def without_autocast(monkeypatch):
    """torch's meta device has none, and raises where it is asked for it."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)


@pytest.fixture(scope="session")
def ray_session():
    """One local Ray for all tests that need it."""
    import ray

    from algorithms.cluster.connection import connect
    from envs import register_with_ray

    os.environ.update(RAY_metrics_report_interval_ms="1000")  # not ten seconds: a test waits for a metric
    connect(num_cpus=4)
    register_with_ray()
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def joining_environment(ray_session) -> dict[str, str]:
    """The environment of a process that is to use the session's Ray: to start one takes longer than most tests."""
    return os.environ | {"RAY_ADDRESS": ray_session.get_runtime_context().gcs_address}
