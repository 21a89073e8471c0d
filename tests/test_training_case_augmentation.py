"""Case augmentation: the sampled casings, and its effect on lowercase text."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tagger
from tagger.config import Config
from tagger.config_loading import load_config
from tagger.text.casing import RECASINGS, recase
from tagger.training.encoded_split import with_recased
from tagger.training.loop import EpochRecord, train
from tagger.training.preparation import Preparation, prepare
from tagger.training.sampling import draw_casings

pytestmark = pytest.mark.slow

SMALL = {
    "data.columns": "token,ner",
    "model.hidden_size": 10,
    "model.word_size": 8,
    "model.character_hidden": 6,
    "model.dropout": 0.0,
    "train.epochs": 12,
    "train.optimizer": "adamw",
    "train.learning_rate": 0.02,
    "train.schedule": "inverse_time",
    "train.ema": 0.0,
    "train.min_steps": 0,
}


def configure(recased: float, **changes: object) -> Config:
    return load_config(None, {**SMALL, "train.case_augmentation": recased, **changes})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write sentences with one name each, which casing or the surrounding words identify."""
    generator = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("corpus")
    letters = list("bdfgklmnprst")

    def make(*, in_lower_case: bool) -> str:
        lines = []
        for _ in range(120):
            name = "".join(generator.choice(letters, 4)).capitalize()
            other = "".join(generator.choice(letters, 4))
            rows = [("the", "O"), (other, "O"), ("of", "O"), (name, "B-LOC"), ("sank", "O")]
            lines += [f"{token.lower() if in_lower_case else token} {tag}" for token, tag in rows]
            lines.append("")
        return "\n".join(lines) + "\n"

    (folder / "train.conll").write_text(make(in_lower_case=False))
    (folder / "dev.conll").write_text(make(in_lower_case=True))
    return folder


def read(corpus: Path, config: Config) -> Preparation:
    return prepare(config, [corpus / "train.conll"], [corpus / "dev.conll"], None)


def test_casings_are_sampled_with_the_given_share_and_equally_often():
    counts = Counter(draw_casings(60_000, 0.3, np.random.default_rng(1)))
    assert counts[-1] / 60_000 == pytest.approx(0.7, abs=0.01)
    for casing in range(len(RECASINGS)):
        assert counts[casing] / 60_000 == pytest.approx(0.1, abs=0.01)
    assert set(draw_casings(100, 0.0, np.random.default_rng(1))) == {-1}


def test_a_batch_has_each_sentence_in_its_sampled_casing(corpus):
    split = read(corpus, configure(0.5)).train
    casings = [-1, 0, 1, 2]
    batch = split.batch([0, 1, 2, 3], casings)
    own = split.batch([0, 1, 2, 3])
    assert batch.tags["ner"].tolist() == own.tags["ner"].tolist()
    for row, casing in enumerate(casings):
        sentence = split.sentences[row]
        tokens = recase(sentence, RECASINGS[casing]) if casing >= 0 else sentence.tokens
        alone = split.table.batch([split.table.rows(tokens)])
        for name in ("words", "casing", "word_lengths"):
            values, expected = getattr(batch, name), getattr(alone, name)
            assert values[batch.positions[row]].tolist() == expected[alone.positions[0]].tolist()
    assert batch.select([1, 2]).positions.tolist() == batch.positions[1:3].tolist()


def test_without_the_option_no_recased_sentences_are_encoded(corpus):
    assert read(corpus, configure(0.0)).train.recased == ()
    assert read(corpus, configure(0.1)).dev.recased == ()


def test_case_augmentation_improves_lowercase_text(corpus):
    """Dev is in lower case: a model that relies on capitals misses its names."""
    scores = {}
    for recased in (0.0, 0.5):
        config = configure(recased)
        *_, last = (one for one in train(read(corpus, config), config) if isinstance(one, EpochRecord))
        scores[recased] = last.dev["ner"]["f1"]
    assert scores[0.5] > 0.95
    assert scores[0.5] > scores[0.0]


def test_the_seed_determines_the_casings(corpus):
    def losses(seed: int) -> list[float]:
        config = configure(0.4, **{"train.epochs": 2, "train.seed": seed})
        return [one.loss for one in train(read(corpus, config), config)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_recased_sentences_have_the_states_of_their_words(corpus):
    class Encoder:
        """A state is the sum of the code points of its word."""

        @staticmethod
        def read(sentences):
            return [
                np.array([[[sum(map(ord, word)) % 1000]] for word in words], np.float16)
                for words in sentences
            ]

    config = configure(0.5)
    split = read(corpus, config).train
    words = [list(sentence.tokens) for sentence in split.sentences[:4]]
    split = with_recased(
        replace(split, states=Encoder.read([one.tokens for one in split.sentences])), Encoder
    )
    casings = [-1, 0, 1, 2]
    expected = Encoder.read([words[0], *(recase(split.sentences[i], RECASINGS[i - 1]) for i in (1, 2, 3))])
    assert np.array_equal(split.batch([0, 1, 2, 3], casings).states, np.stack(expected))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_recased_word_can_have_a_frozen_vector(optimizer, tmp_path):
    """In capitals, the sharp s of German becomes two letters."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("weiss 1 2\nfuss 3 4\nging 5 6\n")
    data = [(["Weiß", "ging", "zu", "Fuß"], ["B-PER", "O", "O", "O"])] * 20
    options = {"hidden_size": 4, "character_hidden": 3, "epochs": 2, "min_steps": 0, "optimizer": optimizer}
    model = tagger.train(data, vectors=vectors, case_augmentation=0.9, **options)
    assert model.bundle.vocabulary.frozen_words == ("weiss", "fuss")
