"""A small BERT with random weights."""

from pathlib import Path

import pytest

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "bo", "met", "sang", "in", "oslo", "rome", ".")
PIECES += ("o", "##slo", "##s")
POSITIONS = 16


def make_bert(folder: Path) -> Path:
    """Write a BERT of 3 layers and its tokenizer, which lowercases; skip the test without the libraries."""
    tokenizers, torch, transformers = map(pytest.importorskip, ("tokenizers", "torch", "transformers"))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(PIECES),
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=POSITIONS,
    )
    transformers.BertModel(config).save_pretrained(folder)
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
