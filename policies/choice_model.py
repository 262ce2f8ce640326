"""The choice model: BERT reads the state and every available action; each action gets one logit, the state a value."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.encoders import blank_encoder, encoder_folder, load_encoder
from rl_recsys.encoding import TOKENIZER_FILE, DecisionEncoder, EncodingShape

CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE = "config.json", "model.safetensors", "training.json"
MASKED = -1e9  # the logit of an action that is not there: finite, so that a page without actions gives no NaN
ENCODE_TOKENS = 4096  # padded tokens one encoder call reads at most
CACHED_TEXTS = 8192  # encodings kept between calls without gradient


class PolicyError(RuntimeError):
    """A policy folder is missing or damaged; the message names the file and the remedy."""


@dataclass(frozen=True)
class ChoiceConfig:
    """The architecture. ``encoder`` is a BertConfig's mapping; ``begin`` and ``end`` are the ids of [CLS] and [SEP];
    ``width`` is the interaction's, in features."""

    encoder: dict
    begin: int
    end: int
    shape: dict[str, int] = field(default_factory=lambda: asdict(EncodingShape()))
    width: int = 128


class ChoiceModel(nn.Module):
    """logits(state, actions) and value(state) over one shared BERT.

    The form of WebShop's choice model: the action's tokens attend over the state's, and what they find is compared
    with them and averaged to one logit. Attention is by cosine, and the best cosine of each action token within the
    instruction and within the rest of the state enters the logit directly, so that a pretrained sentence encoder
    chooses sensibly after a few hundred examples.
    """

    def __init__(self, config: ChoiceConfig, encoder: nn.Module | None = None):
        super().__init__()
        self.config = config
        self.encoder = blank_encoder(config.encoder) if encoder is None else encoder
        hidden = self.encoder.config.hidden_size
        self.scorer = _Interaction(hidden, config)
        self.value_head = nn.Sequential(nn.Linear(hidden, config.width), nn.Tanh(), nn.Linear(config.width, 1))
        self._cache: dict[bytes, Tensor] = {}
        self._cache_version = -1

    @classmethod
    def from_encoder(cls, name: str, shape: EncodingShape = EncodingShape(), *, width: int = 128) -> ChoiceModel:
        """A model on a pretrained encoder ("minilm", a folder or a hub name) with a fresh head."""
        folder = encoder_folder(name)
        encoder, texts = load_encoder(folder), DecisionEncoder(folder, shape)
        return cls(ChoiceConfig(encoder.config.to_diff_dict(), texts.begin, texts.end, asdict(shape), width), encoder)

    def encode(self, ids: Tensor) -> Tensor:
        """Token encodings [N, L, H] of token ids [N, L] (0 is padding); equal rows and padding are computed once."""
        length = max(1, int((ids != 0).sum(-1).max())) if len(ids) else 1
        ids = ids[:, :length].long()
        unique, inverse = torch.unique(ids, dim=0, return_inverse=True)
        encoded = self._encode_cached(unique) if not torch.is_grad_enabled() else self._encode_sorted(unique)
        return encoded[inverse]

    def _encode_sorted(self, ids: Tensor) -> Tensor:
        """Encode rows in chunks of like length, so that little is spent on padding."""
        lengths = (ids != 0).sum(-1)
        order = torch.argsort(lengths)
        chunks, start = [], 0
        sizes = lengths[order].tolist()
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * sizes[end] <= ENCODE_TOKENS and sizes[end] <= 2 * max(
                8, sizes[start]
            ):
                end += 1
            rows = order[start:end]
            trimmed = ids[rows, : max(1, sizes[end - 1])]
            hidden = self.encoder(input_ids=trimmed, attention_mask=(trimmed != 0).long()).last_hidden_state
            chunks.append(F.pad(hidden, (0, 0, 0, ids.shape[1] - trimmed.shape[1])))
            start = end
        restore = torch.empty_like(order)
        restore[order] = torch.arange(len(order), device=order.device)
        return torch.cat(chunks)[restore]

    def _encode_cached(self, ids: Tensor) -> Tensor:
        version = sum(parameter._version for parameter in self.encoder.parameters())
        if version != self._cache_version or len(self._cache) > CACHED_TEXTS:
            self._cache, self._cache_version = {}, version  # the weights changed, or it grew too large
        array = ids.cpu().numpy()
        keys = [row[row != 0].tobytes() for row in array]
        missing = [position for position, key in enumerate(keys) if key not in self._cache]
        if missing:
            fresh = self._encode_sorted(ids[missing])
            for position, encoded in zip(missing, fresh, strict=True):
                self._cache[keys[position]] = encoded[: int((array[position] != 0).sum())].clone()
        found = nn.utils.rnn.pad_sequence([self._cache[key] for key in keys], batch_first=True)
        return F.pad(found, (0, 0, 0, ids.shape[1] - found.shape[1]))

    def score(
        self, states: Tensor, state_ids: Tensor, actions: Tensor, mask: Tensor, positions: Tensor | None = None
    ) -> Tensor:
        """Logits [B, A] (float32, ``MASKED`` where mask is 0) of encoded states [B, S, H] and action ids [B, A, L].

        ``positions`` [B, A] are the actions' places on the page where only some of a page's actions are given.
        """
        available = mask.bool()
        logits = torch.full(mask.shape, MASKED, dtype=torch.float32, device=states.device)
        if not bool(available.any()):
            return logits
        last = int(available.any(0).nonzero().max()) + 1
        available, ids = available[:, :last], actions[:, :last]
        length = max(1, int((ids != 0).sum(-1).max()))
        ids = ids[..., :length]
        rows, columns = available.nonzero(as_tuple=True)
        encoded = states.new_zeros((*ids.shape, states.shape[-1]))
        encoded = encoded.index_put((rows, columns), self.encode(ids[rows, columns]).to(states.dtype))
        if positions is None:
            positions = torch.arange(last, device=states.device).expand(len(ids), -1)
        scored = self.scorer(states, state_ids[:, : states.shape[1]], encoded, ids, positions[:, :last]).float()
        return torch.cat([torch.where(available, scored, logits[:, :last]), logits[:, last:]], dim=1)

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(logits [B, A], pooled states [B, H]) of {"state": [B, S], "actions": [B, A, L], "mask": [B, A]}.

        The observation may also have "positions" [B, A]; see ``score``.
        """
        ids = observation["state"]
        states = self.encode(ids)
        logits = self.score(
            states, ids, observation["actions"], observation["mask"], observation.get("positions")
        )
        return logits, self.pool(states, ids)

    def pool(self, states: Tensor, state_ids: Tensor) -> Tensor:
        """The mean [B, H] of a state's token encodings."""
        return _masked_mean(states, (state_ids[:, : states.shape[1]] != 0))

    def value(self, pooled: Tensor) -> Tensor:
        """State values [B] of pooled states [B, H]."""
        return self.value_head(pooled).squeeze(-1).float()

    def save_pretrained(self, folder: str | Path, *, tokenizer: str | Path, training: Mapping | None = None) -> None:
        """Write a policy folder: weights, config, the tokenizer of another folder, and how it was trained.

        It is written aside and renamed, so the folder is whole or as it was.
        """
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        shutil.copyfile(Path(tokenizer) / TOKENIZER_FILE, aside / TOKENIZER_FILE)
        (aside / CONFIG_FILE).write_text(json.dumps(asdict(self.config), indent=1))
        (aside / TRAINING_FILE).write_text(json.dumps(dict(training or {}), indent=1))
        weights = {name: tensor.contiguous().cpu() for name, tensor in self.state_dict().items()}
        safetensors.torch.save_file(weights, aside / WEIGHTS_FILE)
        os.chmod(aside, 0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(aside, folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> ChoiceModel:
        """The model of a policy folder, in eval mode. Needs no Ray. Raises ``PolicyError`` naming the file."""
        folder = Path(folder)
        config = ChoiceConfig(**read_policy_file(folder, CONFIG_FILE))
        path = folder / WEIGHTS_FILE
        try:
            weights = safetensors.torch.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise PolicyError(f"{path}: missing or damaged ({error}); train the policy again or copy it whole") from None
        model = cls(config)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise PolicyError(f"{path}: does not fit {CONFIG_FILE}: {str(error).splitlines()[-1].strip()}") from None
        return model.eval()


def read_policy_file(folder: Path, name: str) -> dict:
    """A JSON file of a policy folder. Raises ``PolicyError`` naming the file and the remedy."""
    path = Path(folder) / name
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise PolicyError(f"{path}: missing; {folder} is no policy folder (jobs/imitate.py makes one)") from None
    except ValueError as error:
        raise PolicyError(f"{path}: damaged ({error}); train the policy again or copy it whole") from None


def decision_encoder(folder: str | Path) -> DecisionEncoder:
    """The encoder of decisions that a policy folder was trained with."""
    shape = EncodingShape(**read_policy_file(Path(folder), CONFIG_FILE)["shape"])
    return DecisionEncoder(folder, shape)


class _Interaction(nn.Module):
    """One logit for each (state, action) pair from their token encodings."""

    SIMILARITIES = 5

    def __init__(self, hidden: int, config: ChoiceConfig):
        super().__init__()
        self.begin, self.end = config.begin, config.end
        width = config.width
        self.sharpness = nn.Parameter(torch.tensor(10.0))  # of the cosine attention
        self.project = nn.Linear(hidden, width)
        self.compare = nn.Linear(4 * width, width)
        self.match = nn.Linear(hidden, width)
        self.state = nn.Linear(hidden, width)
        self.position = nn.Embedding(config.shape["choices"], 16)  # search rank matters, and a results page lists by rank
        self.output = nn.Sequential(
            nn.Linear(3 * width + 16 + self.SIMILARITIES, width), nn.GELU(), nn.Linear(width, 1)
        )

    def forward(
        self, states: Tensor, state_ids: Tensor, actions: Tensor, action_ids: Tensor, positions: Tensor
    ) -> Tensor:
        """Logits [B, A] of states [B, S, H] and actions [B, A, L, H]; ids mark padding (0) and markers (the ends)."""
        batch, choices, length, hidden = actions.shape
        size = states.shape[1]
        in_state = state_ids != 0
        in_action = action_ids != 0
        content = in_state & (state_ids != self.begin) & (state_ids != self.end)
        instruction = content & ((state_ids == self.end).cumsum(-1) == 0)

        flat = actions.reshape(batch, choices * length, hidden)
        cosine = F.normalize(flat, dim=-1, eps=1e-6) @ F.normalize(states, dim=-1, eps=1e-6).transpose(1, 2)
        attention = (cosine * self.sharpness).masked_fill(~in_state.unsqueeze(1), MASKED).softmax(-1)
        projected, context = self.project(flat), attention @ self.project(states)
        compared = F.gelu(
            self.compare(torch.cat([projected, context, projected * context, (projected - context).abs()], -1))
        )
        compared = _masked_mean(compared.view(batch, choices, length, -1), in_action)

        body = in_action & (action_ids != self.begin) & (action_ids != self.end)
        cosine = cosine.view(batch, choices, length, size)
        similarities = []
        for region in (instruction, content & ~instruction):
            best = cosine.masked_fill(~region[:, None, None, :], -1.0).amax(-1)
            similarities.append(_masked_mean(best.unsqueeze(-1), body).squeeze(-1))
            similarities.append(best.masked_fill(~body, 1.0).amin(-1))
        pooled_state = _masked_mean(states, content)
        pooled_action = _masked_mean(actions, body)
        similarities.append(F.cosine_similarity(pooled_state.unsqueeze(1), pooled_action, dim=-1, eps=1e-6))

        features = [
            compared,
            self.match(pooled_action * pooled_state.unsqueeze(1)),
            self.state(pooled_state).unsqueeze(1).expand(-1, choices, -1),
            self.position(positions.long()),
            torch.stack(similarities, -1),
        ]
        return self.output(torch.cat(features, -1)).squeeze(-1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the last but one dimension where ``mask`` holds; 0 where it holds nowhere."""
    weights = mask.unsqueeze(-1).to(values.dtype)
    return (values * weights).sum(-2) / weights.sum(-2).clamp(min=1.0)
