from __future__ import annotations

import json
import random

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from policies.queries import BartQueries, KeywordQueries, load_query_model, token_f1
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.webshop import Shop, ShopError
from rl_recsys.webshop.goals.goal import search_words, without_price_clause
from rl_recsys.webshop.observe.decisions import ChoiceSession

FILLER = ("i", "want", "some", "please", "looking", "for", "a", "with")


def pairs(shop: Shop, count: int) -> list[tuple[str, str]]:
    """Instructions whose query is the product's words among filler."""
    rng, found = random.Random(0), []
    for index in range(count):
        words = shop.goal(index).query.split()
        text = " ".join([*rng.sample(FILLER, 3), *words, *rng.sample(FILLER, 2)])
        found.append((f"{text}, and price lower than 30.00 dollars", " ".join(words)))
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory, shop, encoder_folder):
    torch.manual_seed(0)
    model, losses = KeywordQueries.from_encoder(str(encoder_folder)), []
    model.train_on(pairs(shop, 120), epochs=8, rate=3e-3, batch=8, seed=0, progress=losses.append)
    assert losses[-1] < 0.3 * losses[0]
    folder = tmp_path_factory.mktemp("queries") / "keywords"
    model.save_pretrained(folder, {"why": "test"})
    return folder


def test_keywords_are_the_words_that_people_typed(shop, trained):
    model = load_query_model(trained)
    asked = pairs(shop, 60)
    found = model.candidates([text for text, _ in asked], 3)
    scores = [token_f1(one[0], [query]) for one, (_, query) in zip(found, asked, strict=True)]
    assert sum(scores) / len(scores) > 0.9
    assert all(1 <= len(one) <= 3 and len(set(one)) == len(one) for one in found)
    assert len(model.candidates(["", "?"], 2)) == 2
    again = load_query_model(trained).candidates([asked[0][0]], 3)
    assert again == [found[0]]
    long = " ".join(["shirt"] * 500)
    assert model.candidates([long], 1)[0][0]


def test_the_score_of_a_query_is_its_best_f1():
    assert token_f1("red shirt", ["a red shirt"]) == pytest.approx(2 * 2 / (2 + 3))
    assert token_f1("red shirt", ["blue", "Red, shirt"]) == 1.0
    assert token_f1("red", ["blue"]) == 0.0
    assert token_f1("", ["blue"]) == 0.0


@pytest.fixture(scope="module")
def bart_folder(tmp_path_factory, shop):
    """A tiny BART with random weights and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("bart")
    words = sorted({word for text, _ in pairs(shop, 40) for word in without_price_clause(text).split()})
    vocabulary = {token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(vocabulary), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=256, dropout=0.0,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_bart_learns_to_write_queries_and_searches_with_beams(tmp_path, shop, bart_folder):
    model, losses = BartQueries.from_pretrained(bart_folder), []
    torch.manual_seed(0)
    model.train_on(pairs(shop, 40), epochs=25, rate=5e-3, batch=8, seed=0, progress=losses.append)
    assert losses[-1] < 0.3 * losses[0]
    model.save_pretrained(tmp_path / "bart", {})
    again = load_query_model(tmp_path / "bart")
    asked = pairs(shop, 10)
    found = again.candidates([text for text, _ in asked], 3)
    assert sum(token_f1(one[0], [query]) for one, (_, query) in zip(found, asked, strict=True)) / 10 > 0.6
    assert all(len(set(one)) == len(one) <= 3 for one in found) and any(len(one) > 1 for one in found)
    with pytest.raises(PolicyError, match="no BART here"):
        BartQueries.from_pretrained(tmp_path)


def test_a_shop_offers_the_candidates_on_its_search_page(tmp_path, shop, trained):
    goal = shop.goal(5)
    queries = {goal.instruction_text: ["blue [hat]", "lamp"]}
    shop.with_queries(tmp_path / "shop", queries, {"model": "me"})
    opened = Shop.open(tmp_path / "shop", verify=True)
    choices = ChoiceSession(opened.session(5))
    own = search_words(goal.instruction_text)
    assert [choice.action for choice in choices.decision.choices] == [
        "search[blue  hat]", "search[lamp]", f"search[{own}]"
    ]  # fmt: skip
    assert len(ChoiceSession(opened.session(6)).decision.choices) == 1  # of the others nothing is known
    assert len(ChoiceSession(shop.session(5)).decision.choices) == 1
    assert opened.fingerprint != shop.fingerprint and opened.manifest["queries"] == {"model": "me"}
    assert opened.search("lamp") == shop.search("lamp")
    opened.with_queries(tmp_path / "again", {}, {})
    assert len(ChoiceSession(Shop.open(tmp_path / "again").session(5)).decision.choices) == 1
    assert len(ChoiceSession(Shop.open(tmp_path / "shop").session(5)).decision.choices) == 3
    (tmp_path / "shop" / "queries.json").unlink()
    with pytest.raises(ShopError, match="queries.json: missing"):
        Shop.open(tmp_path / "shop")


def test_what_is_no_query_model_is_named(tmp_path, policy_folder):
    with pytest.raises(PolicyError, match="no query model; jobs/train_queries.py makes one"):
        load_query_model(policy_folder)
    (tmp_path / "config.json").write_text(json.dumps({"keyword_encoder": {}}))
    with pytest.raises(PolicyError, match="config.json: missing"):
        load_query_model(tmp_path / "nowhere")


def test_an_instruction_that_the_tokenizer_deletes_stands_for_itself(encoder_folder):
    model = KeywordQueries.from_encoder(str(encoder_folder))
    assert model.candidates(["\u200b", "", "\ufeff\u200b"], 2) == [["\u200b"], ["?"], ["\ufeff\u200b"]]
