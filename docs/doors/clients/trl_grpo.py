"""Two steps of TRL's GRPO in the shop: python trl_grpo.py ADDRESS, as ws://127.0.0.1:8000.

The model is tiny and made from nothing, so that no weights are needed and nothing is learnt; what it says is put in its
mouth (``generate``), since at random it would call no tool. All else is TRL's: it reads the schemas of the tools from
``ShopTools``, runs them on the server, asks for the reward, and updates the model.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
from importlib.resources import files

import torch
from datasets import Dataset
from rl_recsys.algorithms.services.environment.shop_tools import shop_tools
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<tool_response>",
           "</tool_response>", "<think>", "</think>"]  # fmt: skip
CHANCE = random.Random(0)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and Qwen3's markers and chat template."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bytes_only = Tokenizer(models.BPE({letter: at for at, letter in enumerate(sorted(alphabet))}, []))
    bytes_only.pre_tokenizer, bytes_only.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    made = PreTrainedTokenizerFast(tokenizer_object=bytes_only, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.add_tokens(SPECIAL, special_tokens=False)
    made.chat_template = files("trl").joinpath("chat_templates/qwen3.jinja").read_text()
    return made


class Shopper(Qwen3ForCausalLM):
    """Searches, opens one of the products, buys it."""

    words: PreTrainedTokenizerFast

    def generate(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: object) -> torch.Tensor:
        """What is said next in each conversation, after it."""
        said = [self.words.encode(self.reply(self.words.decode(row[mask.bool()]))) for row, mask in
                zip(input_ids, attention_mask, strict=True)]  # fmt: skip
        longest = max(map(len, said))
        rows = [torch.tensor(one + [self.words.pad_token_id] * (longest - len(one))) for one in said]
        return torch.cat([input_ids, torch.stack(rows).to(input_ids)], 1)

    def reply(self, conversation: str) -> str:
        """A call of a tool, or the end."""
        pages = conversation.count("<tool_response>")
        if pages == 0:
            wanted = re.search(r"Instruction: ?\n(.*)", conversation)[1]
            return call("search", keywords=" ".join(wanted.split()[:8]))
        if pages == 1:
            return call("click", item=CHANCE.choice(re.findall(r"\[button\] (B0\w{8}) ", conversation)))
        return call("click", item="Buy Now") if pages == 2 else "I bought it.<|im_end|>"


def call(name: str, **arguments: str) -> str:
    """A call as Qwen3 writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call><|im_end|>"


tools = shop_tools(sys.argv[1])
for tool in (tools.search, tools.click):
    print("tool:", json.dumps(get_json_schema(tool)["function"]))
words = tokenizer()
Shopper.words = words
config = Qwen3Config(
    vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, head_dim=8, max_position_embeddings=32768, pad_token_id=words.pad_token_id,
    eos_token_id=words.eos_token_id,
)  # fmt: skip
torch.manual_seed(0)
prompt = [{"role": "user", "content": "Buy what is asked for."}]
with tempfile.TemporaryDirectory() as folder:
    trainer = GRPOTrainer(
        model=Shopper(config),
        args=GRPOConfig(
            folder, max_steps=2, per_device_train_batch_size=4, num_generations=4, max_completion_length=16_000,
            logging_steps=1, report_to="none", use_cpu=True, save_strategy="no", learning_rate=1e-3,
        ),
        train_dataset=Dataset.from_list([{"prompt": prompt, "goal": goal} for goal in (3, 4)]),
        processing_class=words,
        environment_factory=tools,
    )  # fmt: skip
    before = trainer.model.lm_head.weight.detach().clone()
    trainer.train()
    changed = (trainer.model.lm_head.weight - before).abs().max().item()
for step in trainer.state.log_history:
    shown = {
        name: step[name] for name in step if name.startswith(("reward", "tools/", "grad_norm", "completions/mean"))
    }
    if shown:
        print("step:", json.dumps(shown))
print(f"weights changed by at most {changed:.2g}")
assert changed > 0 and any(step.get("tools/call_frequency", 0) == 3 for step in trainer.state.log_history)
