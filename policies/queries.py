"""Models that turn an instruction into what to type into the search: keywords of it, or a sequence model's words.

A model is a folder (weights, config, tokenizer, how it was trained) that needs neither Ray nor a shop.
"""

from __future__ import annotations

import random
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.bert.bert import Bert, BertShape
from policies.bert.encoder_folder import encoder_folder
from policies.bert.pretrained import load_encoder
from policies.model_folder import blank_model, load_weights, model_written
from rl_recsys.core.policy_folder import (
    CONFIG_FILE,
    REMEDY,
    TOKENIZER_FILE,
    PolicyError,
    read_policy_file,
    write_training,
)
from rl_recsys.core.text_encoding import load_tokenizer
from rl_recsys.storage.folders import whole_folder

KIND = "query model"
ENCODER = "keyword_encoder"  # in config.json of ``KeywordQueries``: its BERT's shape
MAX_TOKENS = 128  # of an instruction; the longest of WebShop's 12,087 has fewer
KEEP = (0.5, 0.3, 0.7, 0.15, 0.85)  # how likely a word must be to stay, one candidate each, the best first
GENERATED_TOKENS = 48
NOT_A_WORD = -20.0  # the logit of what has no token
_WORD = re.compile(r"\S+")

Pair = tuple[str, str]  # (instruction, query)


class QueryModel(ABC):
    """Search candidates of instructions."""

    @abstractmethod
    def candidates(self, instructions: Sequence[str], count: int) -> list[list[str]]:
        """For each instruction at most ``count`` different queries in lower case, the best first."""

    @abstractmethod
    def train_on(self, pairs: Sequence[Pair], *, epochs: int, rate: float, batch: int, seed: int,
                 progress: Callable[[float], None]) -> None:  # fmt: skip
        """Learn (instruction, query) pairs; ``progress`` is called with each update's loss."""

    def updates(self, pairs: Sequence[Pair], *, epochs: int, batch: int) -> int:
        """How many gradient steps ``train_on`` makes of these."""
        return epochs * -(-len(pairs) // batch)

    @abstractmethod
    def save_pretrained(self, folder: Path, training: Mapping) -> None:
        """Write the folder whole or not at all."""


def load_query_model(folder: str | Path) -> QueryModel:
    """The model of a folder. Raises ``PolicyError`` naming the file."""
    config = read_policy_file(Path(folder), CONFIG_FILE)
    if config.get("model_type") == "bart":
        return BartQueries.from_pretrained(folder)
    if ENCODER not in config:
        raise PolicyError(f"{Path(folder) / CONFIG_FILE}: of no query model; jobs/train_queries.py makes one")
    return KeywordQueries.of_folder(Path(folder), config)


class KeywordQueries(nn.Module, QueryModel):
    """A BERT tags which words of the instruction people typed; those that are likely enough are the query."""

    def __init__(self, config: Mapping, tokenizer: Path, encoder: Bert | None = None):
        super().__init__()
        self.config = dict(config)
        self.encoder = Bert.blank(BertShape.written(self.config, ENCODER)) if encoder is None else encoder
        self.keep = nn.Linear(self.encoder.shape.hidden_size, 1)
        self._tokenizer_file = Path(tokenizer)
        self._tokenizer = load_tokenizer(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    @classmethod
    def from_encoder(cls, name: str) -> KeywordQueries:
        """On a pretrained BERT: "minilm", a folder or a hub name."""
        folder = encoder_folder(name)
        encoder = load_encoder(folder)
        return cls(encoder.shape.to_mapping(), folder / TOKENIZER_FILE, encoder)

    @classmethod
    def of_folder(cls, folder: Path, config: Mapping) -> KeywordQueries:
        """The model of a folder whose config.json was read, in eval mode. Raises ``PolicyError`` naming the file."""
        model = blank_model(folder, lambda: cls(config[ENCODER], folder / TOKENIZER_FILE))
        load_weights(folder, model)
        return model.eval()

    def save_pretrained(self, folder: Path, training: Mapping) -> None:
        """Write weights, config, tokenizer and how it was trained."""
        with model_written(folder, self, {ENCODER: self.config}, training, kind=KIND) as aside:
            shutil.copyfile(self._tokenizer_file, aside / TOKENIZER_FILE)

    def forward(self, words: Sequence[Sequence[str]]) -> list[Tensor]:
        """For each text, given in words, the logit of each word to be kept."""
        encoded = [self._tokenizer.encode(list(text), is_pretokenized=True) for text in words]
        scores = [self.keep(text).squeeze(-1) for text in self.encoder([encoding.ids for encoding in encoded])]
        logits_of_words = []
        for row, encoding in enumerate(encoded):
            # A word's logit is that of its first token.
            first = {word: place for place, word in reversed(list(enumerate(encoding.word_ids))) if word is not None}
            known = torch.tensor([word for word in range(len(words[row])) if word in first], dtype=torch.long)
            places = torch.tensor([first[word] for word in known.tolist()], dtype=torch.long)
            # What the tokenizer deletes or cuts off is not kept; it may be all that there is.
            logits = scores[row].new_full((len(words[row]),), NOT_A_WORD)
            logits_of_words.append(logits.index_put((known,), scores[row][places]))
        return logits_of_words

    def updates(self, pairs: Sequence[Pair], *, epochs: int, batch: int) -> int:
        """How many gradient steps ``train_on`` makes of these: an instruction is an example, whatever its queries."""
        return epochs * -(-len({instruction for instruction, _ in pairs}) // batch)

    def train_on(self, pairs: Sequence[Pair], *, epochs: int, rate: float, batch: int, seed: int,
                 progress: Callable[[float], None] = lambda loss: None) -> None:  # fmt: skip
        """Binary cross-entropy of each word; its label is the share of the instruction's queries that have it."""
        examples = _tagged(pairs)
        steps = self.updates(pairs, epochs=epochs, batch=batch)
        head, encoder = list(self.keep.parameters()), list(self.encoder.parameters())
        optimizer = torch.optim.AdamW([{"params": encoder, "lr": rate}, {"params": head, "lr": 30 * rate}])
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
        self.train()
        for chunk in _batches(examples, epochs, batch, seed):
            logits = self([words for words, _ in chunk])
            labels = [torch.tensor(shares) for _, shares in chunk]
            loss = F.binary_cross_entropy_with_logits(torch.cat(logits), torch.cat(labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress(loss.item())
        self.eval()

    def candidates(self, instructions: Sequence[str], count: int) -> list[list[str]]:
        """The words that are kept at several thresholds, in the order of the instruction."""
        candidates = []
        for start in range(0, len(instructions), 32):
            words = [_WORD.findall(text) or ["?"] for text in instructions[start : start + 32]]
            with torch.no_grad():
                logits = self(words)
            for text, row in zip(words, logits, strict=True):
                chance = row.sigmoid().tolist()
                queries = [
                    " ".join(word.strip(",.;") for word, likely in zip(text, chance, strict=True) if likely > limit)
                    for limit in KEEP
                ]
                candidates.append(list(dict.fromkeys(filter(None, queries)))[:count] or [" ".join(text)])
        return candidates


def _tagged(pairs: Sequence[Pair]) -> list[tuple[list[str], list[float]]]:
    """(words, share of the queries that have each word) of every instruction."""
    queries: dict[str, list[set[str]]] = {}
    for instruction, query in pairs:
        queries.setdefault(instruction, []).append(set(_bare(query)))
    examples = []
    for instruction, asked in queries.items():
        words = _WORD.findall(instruction)
        shares = [sum(_bare(word)[:1] and _bare(word)[0] in query for query in asked) / len(asked) for word in words]
        examples.append((words, shares))
    return examples


def _bare(text: str) -> list[str]:
    return [word.strip(",.;'\"") for word in text.lower().split()]


def _batches(examples: Sequence, epochs: int, size: int, seed: int):
    for epoch in range(epochs):
        order = random.Random(f"{seed}:{epoch}").sample(range(len(examples)), len(examples))
        for start in range(0, len(order), size):
            yield [examples[place] for place in order[start : start + size]]


class BartQueries(QueryModel):
    """A sequence-to-sequence BART, as in the paper: queries by beam search. Pretrained weights come from the hub."""

    def __init__(self, model: nn.Module, tokenizer):
        self._model, self._tokenizer = model, tokenizer

    @classmethod
    def from_pretrained(cls, name: str | Path) -> BartQueries:
        """A folder or a hub name ("facebook/bart-base")."""
        from transformers import AutoTokenizer, BartForConditionalGeneration

        try:
            model = BartForConditionalGeneration.from_pretrained(name, use_safetensors=True)  # the others are pickles
            return cls(model.eval(), AutoTokenizer.from_pretrained(name))
        except (OSError, ValueError) as error:
            raise PolicyError(
                f"{name}: no BART here ({str(error).splitlines()[0]}); name another, or {REMEDY}"
            ) from None

    def save_pretrained(self, folder: Path, training: Mapping) -> None:
        """Write it as transformers does, with how it was trained."""
        with whole_folder(folder, kind=KIND) as aside:
            self._model.save_pretrained(aside)
            self._tokenizer.save_pretrained(aside)
            write_training(aside, training)

    def _encode(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        return self._tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")

    def train_on(self, pairs: Sequence[Pair], *, epochs: int, rate: float, batch: int, seed: int,
                 progress: Callable[[float], None] = lambda loss: None) -> None:  # fmt: skip
        """Cross-entropy of the query's tokens."""
        optimizer = torch.optim.AdamW(self._model.parameters(), lr=rate, weight_decay=0.01)
        self._model.train()
        for chunk in _batches(list(pairs), epochs, batch, seed):
            read = self._encode([instruction for instruction, _ in chunk])
            labels = self._encode([query.lower() for _, query in chunk])["input_ids"]
            labels = labels.masked_fill(labels == self._tokenizer.pad_token_id, -100)
            loss = self._model(input_ids=read["input_ids"], attention_mask=read["attention_mask"], labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress(loss.item())
        self._model.eval()

    def candidates(self, instructions: Sequence[str], count: int) -> list[list[str]]:
        """The ``count`` best beams of a search with as many."""
        candidates = []
        for start in range(0, len(instructions), 16):
            some = instructions[start : start + 16]
            read = self._encode(list(some))
            with torch.no_grad():
                beams = self._model.generate(
                    input_ids=read["input_ids"], attention_mask=read["attention_mask"], num_beams=count,
                    num_return_sequences=count, max_new_tokens=GENERATED_TOKENS,
                )  # fmt: skip
            texts = [text.strip().lower() for text in self._tokenizer.batch_decode(beams, skip_special_tokens=True)]
            for row, text in enumerate(some):
                written = list(dict.fromkeys(filter(None, texts[row * count : (row + 1) * count])))
                candidates.append(written or [text])
        return candidates


def token_f1(predicted: str, queries: Sequence[str]) -> float:
    """The best F1 of a query's words against any of the queries that people typed, in [0, 1]."""
    best, words = 0.0, set(_bare(predicted))
    for query in queries:
        asked = set(_bare(query))
        shared = len(words & asked)
        if shared:
            best = max(best, 2 * shared / (len(words) + len(asked)))
    return best
