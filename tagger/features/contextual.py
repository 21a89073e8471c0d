"""Hidden states of a frozen pretrained encoder as features of words, computed without torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.errors import InputError
from tagger.features.batching import group_by_length
from tagger.storage import open_input, read_input, temporary_folder, writing

States = NDArray[np.float16]

ENCODER = "encoder"  # sub-folder of a model with its encoder
MODEL, TOKENIZER, CONFIG = "model.onnx", "tokenizer.json", "config.json"
FILES = (MODEL, TOKENIZER, CONFIG)
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "states"
BATCH_SENTENCES, BATCH_TOKENS = 16, 2048  # padding included; bounds the memory of a run
_NUMBERS = ("size", "n_layers", "max_tokens")  # in config.json
MAX_CONFIG_BYTES = 1 << 20
MAX_TOKENIZER_BYTES = 1 << 28


class _Window(NamedTuple):
    """Words that the encoder reads together.

    Attributes:
        sentence: Index of the sentence.
        first: Index of the first word.
        ids: Token ids of each word.
        kept: Half-open range of the words whose states are used, counted in the sentence.
    """

    sentence: int
    first: int
    ids: list[list[int]]
    kept: tuple[int, int]

    @property
    def length(self) -> int:
        """Number of tokens."""
        return sum(map(len, self.ids))


class ContextualEncoder:
    """A transformer encoder as ``tagger encoder`` exports it: an ONNX graph and its tokenizer; thread-safe.

    A word's states are the means of its tokens' states, in L layers of the encoder. A sentence is read alone;
    a longer one than the encoder's maximum is read in overlapping windows.

    Args:
        folder: Folder with ``model.onnx``, ``tokenizer.json`` and ``config.json``.
        threads: Number of threads of one run.
        identity: The expected digest: that of the encoder that a model was trained with; None accepts any.

    Attributes:
        size: D, the size of a state.
        n_layers: L, the number of states per word.
        max_tokens: Most tokens that it reads at once.
        identity: Digest of its files.
        before: Ids of the tokens before those of the words, for instance of ``[CLS]``.
        after: Ids of the tokens after them.

    Raises:
        InputError: A file is missing or invalid, it is another encoder, or tokenizers is not installed.
    """

    def __init__(self, folder: Path, *, threads: int = 1, identity: str | None = None) -> None:
        self._folder = folder
        config = _read_config(folder / CONFIG)
        self.size, self.n_layers, self.max_tokens = (config[name] for name in _NUMBERS)
        # A rounded graph scales all states of a run together, so that they would depend on each other.
        self._batch_sentences = BATCH_SENTENCES if config["precision"] == "f32" else 1
        self.identity = _identify(folder, identity)
        self._tokenizer = _open_tokenizer(folder / TOKENIZER)
        self._session = _open_graph(folder / MODEL, threads)
        special = self._tokenizer.encode("").ids
        self.before, self.after = special[:1], special[1:]  # for instance [CLS] and [SEP]

    def encode(self, sentences: Sequence[Sequence[str]]) -> list[States]:
        """Return the states (T, L, D) of each sentence's words; they do not depend on the other sentences.

        A word without tokens gets zeros.

        Args:
            sentences: The words of each sentence.
        """
        states = [np.zeros((len(words), self.n_layers, self.size), np.float16) for words in sentences]
        windows = [window for number, words in enumerate(sentences) for window in self._cut(number, words)]
        for indices in group_by_length([one.length for one in windows], self._batch_sentences, BATCH_TOKENS):
            batch = [windows[index] for index in indices]
            for window, values in zip(batch, self._run(batch), strict=True):
                begin, end = window.kept
                states[window.sentence][begin:end] = values[begin - window.first : end - window.first]
        return states

    def _cut(self, number: int, words: Sequence[str]) -> Iterator[_Window]:
        """Yield the windows of a sentence: usually one."""
        capacity = self.max_tokens - len(self.before) - len(self.after)
        ids = self.tokens(words)
        sizes = [len(word) for word in ids]
        if sum(sizes) <= capacity:
            if any(sizes):
                yield _Window(number, 0, ids, (0, len(words)))
            return
        ids = [word[:capacity] for word in ids]
        ends = np.cumsum([len(word) for word in ids])
        begin = kept = 0
        while kept < len(words):
            offset = int(ends[begin - 1]) if begin else 0
            end = int(np.searchsorted(ends, offset + capacity, side="right"))
            # The next window begins in the middle of this one, and each word is read far from both edges.
            middle = max(begin + 1, int(np.searchsorted(ends, offset + capacity // 2, side="right")))
            stop = len(words) if end == len(words) else max(kept + 1, (middle + end) // 2)
            yield _Window(number, begin, ids[begin:end], (kept, stop))
            begin, kept = middle, stop

    def tokens(self, words: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each word."""
        # Lone surrogates, which a JSON file can contain, are no valid text for the tokenizer.
        valid = [word.encode(errors="replace").decode() for word in words]
        encoding = self._tokenizer.encode(valid, is_pretokenized=True, add_special_tokens=False)
        ids: list[list[int]] = [[] for _ in words]
        for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
            if word is not None:
                ids[word].append(token)
        return ids

    def _run(self, windows: Sequence[_Window]) -> Iterator[NDArray[np.float32]]:
        """Yield the states (words, L, D) of each window."""
        rows = [[*self.before, *chain.from_iterable(one.ids), *self.after] for one in windows]
        width = max(map(len, rows))
        tokens, mask = np.zeros((2, len(rows), width), np.int64)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)], mask[row, : len(ids)] = ids, 1
        (states,) = self._session.run([OUTPUT], dict(zip(INPUTS, (tokens, mask), strict=True)))
        for window, values in zip(windows, states, strict=True):
            sizes = np.array([len(word) for word in window.ids])
            has_tokens = sizes > 0
            first = len(self.before)
            begins = first + np.cumsum(sizes) - sizes
            sums = np.add.reduceat(values[: first + sizes.sum()], begins[has_tokens], axis=0)
            means = np.zeros((len(sizes), *values.shape[1:]), np.float32)
            means[has_tokens] = sums / sizes[has_tokens, None, None]
            yield means


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(read_input(path, max_bytes=MAX_CONFIG_BYTES))
        config = {name: values[name] for name in (*_NUMBERS, "precision")}
    except OSError as error:
        raise _missing(path, error) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        config = {}
    is_valid = config and all(type(config[name]) is int and config[name] > 0 for name in _NUMBERS)
    if not is_valid or config["precision"] not in ("f32", "int8"):
        raise InputError(
            f"must have {', '.join(_NUMBERS)} and precision as `tagger encoder` writes them. Export the "
            "encoder again.",
            code="bundle.damaged",
            where=path,
        )
    return config


def keep_encoder(folder: Path, target: Path, identity: str) -> None:
    """Link the files of an encoder in another folder, or copy them to another file system.

    Args:
        folder: The encoder.
        target: The other folder; another encoder in it is replaced.
        identity: The expected digest, see ``ContextualEncoder``.

    Raises:
        InputError: A file is missing, it is another encoder, or the folder cannot be written.
    """
    with suppress(InputError):
        if folder.resolve() == target.resolve() or _identify(target, identity):
            return
    with writing(target), temporary_folder(target.parent, target.name) as temporary:
        for name in FILES:
            source = (folder / name).resolve()
            try:
                os.link(source, temporary / name)
            except FileNotFoundError as error:
                raise _missing(folder / name, error) from None
            except OSError:
                shutil.copyfile(source, temporary / name)
        _identify(temporary, identity)
        if target.is_symlink():
            target.unlink()
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)


def _identify(folder: Path, expected: str | None = None) -> str:
    import hashlib  # imported late: few models have an encoder, and it loads OpenSSL

    digest = hashlib.sha256()
    for name in FILES:
        try:
            with open_input(folder / name) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise _missing(folder / name, error) from None
    identity = digest.hexdigest()
    if expected not in (None, identity):
        raise InputError(
            "the contextual encoder must be the one that the model was trained with (got other files). Copy "
            f"that encoder to the sub-folder {ENCODER} of the model.",
            code="bundle.damaged",
            where=folder,
        )
    return identity


def _missing(path: Path, error: OSError) -> InputError:
    return InputError(
        f"the file cannot be read ({error.strerror}). Pass a folder that `tagger encoder` wrote.",
        code="bundle.missing",
        where=path,
    )


def _open_tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer  # an extra
    except ImportError:
        raise InputError(
            "a contextual encoder needs the package tokenizers. Install the extra `contextual`.",
            code="package.missing",
        ) from None
    try:
        tokenizer = Tokenizer.from_str(read_input(path, max_bytes=MAX_TOKENIZER_BYTES).decode())
    except Exception as error:  # tokenizers raises plain Exception
        raise InputError(
            f"the tokenizer cannot be used ({str(error).splitlines()[0]:.100}). Export the encoder again.",
            code="bundle.damaged",
            where=path,
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _open_graph(path: Path, threads: int) -> Any:
    import onnxruntime  # slow import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise InputError(
            f"the graph cannot be used ({str(error).splitlines()[0]:.100}). Export the encoder again.",
            code="bundle.damaged",
            where=path,
        ) from None
    inputs, outputs = ([one.name for one in some] for some in (session.get_inputs(), session.get_outputs()))
    if sorted(inputs) != sorted(INPUTS) or outputs != [OUTPUT]:
        raise InputError(
            f"the graph must have the inputs {', '.join(INPUTS)} and the output {OUTPUT} (got "
            f"{', '.join(inputs)}; {', '.join(outputs)}). Export the encoder with `tagger encoder`.",
            code="bundle.damaged",
            where=path,
        )
    return session
