"""What all runs of a comparison share: data, options, and the folder they are kept in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tagger.config import Config
from tagger.errors import InputError
from tagger.experiments.grid import configure, match_hidden_sizes
from tagger.experiments.results import Match, Variant, lookahead_name
from tagger.training.checkpoint import describe_data, describe_options
from tagger.training.preparation import Part, Preparation, prepare, read_part
from tagger.training.progress import build_model

RUNS = "runs"  # the folder of the runs' files in that of the comparison


@dataclass(frozen=True, slots=True)
class Request:
    """What a comparison is asked for.

    Attributes:
        config: Options of all runs; ``model.hidden_size`` is that of the bidirectional ones.
        train_files: The corpus files to learn from.
        dev_files: The corpus files that runs are scored on after every epoch; none is chosen by them.
        test_files: Corpus files that they are scored on after the last epoch, or none at all.
        vectors_file: Static word vectors, or None.
        variants: The grid.
        seeds: How many runs each variant has; the first has the config's seed, the others those after it.
        match: What is held equal.
        lookaheads: Next words that bidirectional models are scored with; None stands for all.
        output: The comparison's folder.
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
    """A run that is to be made.

    Attributes:
        variant: The kind of model.
        seed: Of weights, order and dropout.
        hidden_size: LSTM units per direction.
    """

    variant: Variant
    seed: int
    hidden_size: int

    @property
    def name(self) -> str:
        """That of its run."""
        return self.variant.run_name(self.seed)


@dataclass(frozen=True, slots=True)
class Material:
    """What was read for a comparison.

    Attributes:
        request: What was asked for.
        preparation: Vocabulary, vectors, train and dev.
        test: The held-out part, or None.
        digests: Of the content of all parts and of the vectors.
    """

    request: Request
    preparation: Preparation
    test: Part | None
    digests: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where runs are kept."""
        return self.request.output / RUNS

    @property
    def scored_parts(self) -> dict[str, Part]:
        """The parts that are scored, by name."""
        parts = {"dev": self.preparation.dev, "test": self.test}
        return {name: part for name, part in parts.items() if part}

    def jobs(self) -> list[Job]:
        """The runs of the grid, seed by seed."""
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
        """The options of one run."""
        return configure(job.variant, self.request.config, hidden_size=job.hidden_size, seed=job.seed)

    def lookaheads(self, variant: Variant) -> Sequence[int | None]:
        """Next words that its models are scored with; one way alone needs no others."""
        return self.request.lookaheads if variant.direction == "bidirectional" else ()

    def describe(self, job: Job) -> dict[str, str]:
        """All that decides what comes out of a run, by names that a user knows."""
        asked = ",".join(map(lookahead_name, self.lookaheads(job.variant)))
        return {
            **describe_options(self.configure(job)),
            **self.digests,
            "--lookahead": asked or "none",
        }


def gather_material(request: Request) -> Material:
    """Read all files.

    Raises:
        InputError: A file cannot be read or does not hold what is asked for.
    """
    config = request.config
    preparation = prepare(config, request.train_files, request.dev_files, request.vectors_file)
    test = read_part(config, request.test_files, preparation) if request.test_files else None
    return Material(request, preparation, test, describe_data(preparation, test))


def require_local_features(material: Material) -> None:
    """Refuse features of a word that depend on other words: through them, one way would see both sides.

    The emissions of a forward network are looked at: those of a sentence's first words have to stay the same
    whatever its last word is.

    Raises:
        InputError: They do not.
    """
    part, config = material.preparation.train, material.request.config
    forward = configure(Variant("forward", None, "softmax"), config, hidden_size=8, seed=0)
    model = build_model(material.preparation, forward).eval()
    words = max(part.rows, key=len)
    changed = words.copy()
    changed[-1] = words[0] if words[0] != words[-1] else len(part.table) - 1
    for emissions in model.emissions(part.table.batch([words, changed])).values():
        if not np.allclose(emissions[0, : len(words) - 1], emissions[1, : len(words) - 1], atol=1e-5):
            raise InputError(
                "A word's features depend on the words after it, so that a forward model would see both "
                "sides and the comparison would be void; leave out features that see the whole sentence."
            )
