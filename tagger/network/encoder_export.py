"""Export the lower layers of a Hugging Face encoder as a graph that ``features.contextual`` runs."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tagger.errors import InputError
from tagger.features.contextual import CONFIG, INPUTS, MODEL, OUTPUT, TOKENIZER, ContextualEncoder
from tagger.storage import new_folder

Precision = Literal["f32", "int8"]
OPSET = 17
TOLERANCE = 1e-2  # largest difference from torch in float32; states are stored with 11 bits
_EXAMPLES = (["Ada", "met", "Grace", "in", "Oslo", "."], ["Yes"], ["unquestionably", "42", "!"])


class _Lower(nn.Module):
    """Stacks the hidden states of some layers."""

    def __init__(self, model: Any, layers: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.layers = list(layers)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute the states (B, S, L, D) of tokens (B, S)."""
        outputs = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        return torch.stack([outputs.hidden_states[layer] for layer in self.layers], dim=2)


def export_encoder(
    source: Path, target: Path, layers: Sequence[int], *, precision: Precision = "f32"
) -> tuple[float, float]:
    """Export the states of some layers; layers above the highest one are dropped.

    Args:
        source: Folder of a Hugging Face encoder with ``config.json``, weights and ``tokenizer.json``; no code
            in it is run.
        target: The folder to write.
        layers: Numbers of the layers, 0 for the embeddings.
        precision: Precision of the matrix products: ``f32``, or ``int8``, which is faster and changes states.

    Returns:
        The largest difference of a state from torch's before rounding to int8, and the mean cosine between
        torch's states and those of the written graph, both over a few sentences.

    Raises:
        InputError: The folder cannot be read or written, it has fewer layers, or the graph
            differs from torch.
    """
    model = _load(source)
    count = int(model.config.num_hidden_layers)
    if not layers or min(layers) < 0 or max(layers) > count:
        raise InputError(
            f"--layers must be numbers from 0 to {count}, the layers of this encoder (got "
            f"{','.join(map(str, layers))}). Correct them.",
            code="option.value",
            option="--layers",
        )
    _drop_above(model, max(layers))
    lower = _Lower(model, layers).eval()
    with new_folder(target) as folder:
        tokens = torch.ones(2, 5, dtype=torch.int64)
        axes = {name: {0: "batch", 1: "length"} for name in (*INPUTS, OUTPUT)}
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns about every condition on a shape
            torch.onnx.export(
                lower,
                (tokens, tokens),
                str(folder / MODEL),
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        if len(list(folder.iterdir())) > 1:
            raise InputError(
                "the encoder must be smaller than 2 GB, the limit of one ONNX file. Choose a smaller one, or "
                "lower --layers.",
                code="input.size",
                where=source,
            )
        (folder / TOKENIZER).write_text(mark_words(source / TOKENIZER), encoding="utf-8")
        facts = {
            "size": int(model.config.hidden_size),
            "n_layers": len(layers),
            "max_tokens": _max_tokens(model),
            "layers": list(layers),
            "precision": "f32",
        }
        (folder / CONFIG).write_text(json.dumps(facts), encoding="utf-8")
        difference, similarity = _compare(lower, ContextualEncoder(folder))
        if not difference <= TOLERANCE:
            raise InputError(
                f"the graph must give torch's states (got a difference of {difference:.1e}). "
                "Report this as a bug.",
                code="bundle.output",
                where=target,
            )
        if precision == "int8":
            _quantize(folder / MODEL)
            (folder / CONFIG).write_text(json.dumps(facts | {"precision": precision}), encoding="utf-8")
            _, similarity = _compare(lower, ContextualEncoder(folder))
    return difference, similarity


def mark_words(path: Path) -> str:
    """Return the content of a tokenizer.json that marks the beginning of each word.

    The tokenizers of GPT-2 and RoBERTa take a space before a word as its mark, which split words lack.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    outer = values.get("pre_tokenizer") or {}
    for step in (outer, *(outer.get("pretokenizers") or ())):
        if step.get("type") == "ByteLevel":
            step["add_prefix_space"] = True
    return json.dumps(values, ensure_ascii=False)


def _quantize(path: Path) -> None:
    """Round the weights of matrix products to 7 of 8 bits, with a scale per channel.

    On processors that add pairs of 8-bit products in 16 bits, larger sums would saturate.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic  # needs onnx, an extra

    rounded = path.with_suffix(".int8")
    logging.disable(logging.WARNING)  # it recommends to preprocess the graph
    try:
        quantize_dynamic(
            path,
            rounded,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
    rounded.replace(path)


def _load(source: Path) -> Any:
    from transformers import AutoModel  # an extra
    from transformers.utils.logging import disable_progress_bar

    for name in (CONFIG, TOKENIZER):
        if not (source / name).is_file():
            raise InputError(
                f"there is no {name}. Pass the folder of a Hugging Face encoder with its fast tokenizer.",
                code="file.missing",
                where=source,
            )
    disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]
    try:
        return AutoModel.from_pretrained(source, local_files_only=True, attn_implementation="eager").eval()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"transformers cannot load the encoder ({str(error).splitlines()[0]:.100}). Check the folder.",
            code="bundle.damaged",
            where=source,
        ) from None


def _drop_above(model: Any, highest: int) -> None:
    """Remove the layers above the highest one from the stack of layers, wherever the model keeps it."""
    count = int(model.config.num_hidden_layers)
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == count:
                setattr(module, name, child[:highest])
    model.config.num_hidden_layers = highest


def _max_tokens(model: Any) -> int:
    """Return the largest number of tokens that the encoder can read."""
    positions = int(model.config.max_position_embeddings)
    # RoBERTa and its relatives count positions from the id of the padding token + 1.
    is_shifted = model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet")
    return positions - 2 if is_shifted else positions


@torch.no_grad()
def _compare(lower: _Lower, encoder: ContextualEncoder) -> tuple[float, float]:
    """Return the largest difference and the mean cosine of torch's states of words and the graph's."""
    largest, cosines = 0.0, []
    capacity = encoder.max_tokens - len(encoder.before) - len(encoder.after)
    # Long too: a graph may hold only for positions like those that it was traced with.
    long = ["a"] * min(200, capacity // max(1, len(encoder.tokens(["a"])[0])))
    examples = [*_EXAMPLES, long]
    for words, found in zip(examples, encoder.encode(examples), strict=True):
        ids = encoder.tokens(words)
        row = torch.tensor([[*encoder.before, *chain.from_iterable(ids), *encoder.after]])
        states = lower(row, torch.ones_like(row))[0].numpy()
        ends = len(encoder.before) + np.cumsum([len(word) for word in ids])
        means = [states[end - len(word) : end].mean(axis=0) for end, word in zip(ends, ids, strict=True)]
        expected, actual = np.stack(means), found.astype(np.float32)
        largest = max(largest, float(np.abs(expected - actual).max()))
        norms = np.linalg.norm(expected, axis=-1) * np.linalg.norm(actual, axis=-1)
        cosines.append((expected * actual).sum(axis=-1) / np.maximum(norms, 1e-9))
    return largest, float(np.concatenate(cosines).mean())
