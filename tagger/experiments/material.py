"""Data, options and output folder that all runs of a comparison share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tagger.config import Config
from tagger.errors import InputError
from tagger.experiments.grid import configure, match_hidden_sizes
from tagger.experiments.results import Match, Variant, lookahead_name
from tagger.training.checkpoint import data_digests, describe_options
from tagger.training.preparation import EncodedSplit, Preparation, prepare, read_split
from tagger.training.progress import build_model

RUNS = "runs"  # subfolder of the output folder with one file per run


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a comparison.

    Attributes:
        config: Options of all runs; ``model.hidden_size`` is the size of the bidirectional concat variant.
        train_files: Corpus files of the train split.
        dev_files: Corpus files of the dev split, scored after every epoch; no epoch is selected by them.
        test_files: Corpus files of the test split, scored after the last epoch; may be empty.
        vectors_file: Static word vectors, or None.
        variants: The grid.
        seeds: Number of runs per variant; seeds count up from ``train.seed``.
        match: The quantity that all variants share.
        lookaheads: Lookaheads (in words) to score bidirectional models with; None means whole sentences.
        output: Output folder of the comparison.
    """

    config: Config
    train_files: Sequence[Path]
    dev_files: Sequence[Path]
    test_files: Sequence[Path]
    vectors_file: Path | None
    variants: Sequence[Variant]
    seeds: int
    match: Match
    lookaheads: Sequence[int | None]
    output: Path


@dataclass(frozen=True, slots=True)
class Job:
    """A run to train.

    Attributes:
        variant: The kind of model.
        seed: Seed of weights, order and dropout.
        hidden_size: LSTM units per direction.
    """

    variant: Variant
    seed: int
    hidden_size: int

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.variant.run_name(self.seed)


@dataclass(frozen=True, slots=True)
class Material:
    """The loaded data of a comparison.

    Attributes:
        request: Arguments of the comparison.
        preparation: Vocabulary, vectors, train and dev splits.
        test: Test split, or None.
        digests: Digests of the content of all splits and of the vectors.
    """

    request: Request
    preparation: Preparation
    test: EncodedSplit | None
    digests: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Folder of the run files."""
        return self.request.output / RUNS

    @property
    def scored_splits(self) -> dict[str, EncodedSplit]:
        """The scored splits, by name."""
        splits = {"dev": self.preparation.dev, "test": self.test}
        return {name: split for name, split in splits.items() if split}

    def jobs(self) -> list[Job]:
        """Return the runs of the grid, seed by seed."""
        request, vectors = self.request, self.preparation.vectors
        sizes = match_hidden_sizes(
            request.variants,
            request.config,
            request.match,
            self.preparation.vocabulary,
            vectors.size if vectors else request.config.model.word_size,
        )
        first = request.config.train.seed
        return [
            Job(variant, seed, sizes[variant])
            for seed in range(first, first + request.seeds)
            for variant in request.variants
        ]

    def configure(self, job: Job) -> Config:
        """Return the options of one run."""
        return configure(job.variant, self.request.config, hidden_size=job.hidden_size, seed=job.seed)

    def lookaheads(self, variant: Variant) -> Sequence[int | None]:
        """Return the lookaheads to score a variant with; empty unless it is bidirectional."""
        return self.request.lookaheads if variant.direction == "bidirectional" else ()

    def describe(self, job: Job) -> dict[str, str]:
        """Describe everything that determines the result of a run, under the names of user options."""
        names = ",".join(map(lookahead_name, self.lookaheads(job.variant)))
        return {
            **describe_options(self.configure(job)),
            **self.digests,
            "--lookahead": names or "none",
        }


def gather_material(request: Request) -> Material:
    """Read all files.

    Raises:
        InputError: A file cannot be read, or lacks the requested data.
    """
    config = request.config
    preparation = prepare(config, request.train_files, request.dev_files, request.vectors_file)
    test = read_split(config, request.test_files, preparation) if request.test_files else None
    return Material(request, preparation, test, data_digests(preparation, test))


def require_local_features(material: Material) -> None:
    """Check that the features of a word do not depend on later words, which a forward model must not see.

    The check changes the last word of a sentence and compares the emissions of a forward network: those of
    all earlier words must stay the same.

    Raises:
        InputError: The emissions of earlier words change.
    """
    train, config = material.preparation.train, material.request.config
    forward = configure(Variant("forward", None, "softmax"), config, hidden_size=8, seed=0)
    model = build_model(material.preparation, forward).eval()
    words = max(train.rows, key=len)
    changed = words.copy()
    changed[-1] = words[0] if words[0] != words[-1] else len(train.table) - 1
    for emissions in model.emissions(train.table.batch([words, changed])).values():
        if not np.allclose(emissions[0, : len(words) - 1], emissions[1, : len(words) - 1], atol=1e-5):
            raise InputError(
                "The features of a word depend on later words, so a forward model would see the right "
                "context and the comparison would be invalid. Remove features that read the whole sentence."
            )
