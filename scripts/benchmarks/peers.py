"""Other taggers for comparison: each is trained once on the same corpus and saved in a folder.

Every peer gets lists of strings and returns its own objects, as its users get them; its timings include
building sentences and features from strings. Training stops after a number of epochs or minutes, whichever
comes first: the comparison is about speed at a known F1, not about the best F1 of each tagger.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from material import TASK, Corpus, Tokens, read_vectors

from tagger.text.schemes import spans_to_tags, tags_to_spans
from tagger.text.sentence import Span

BATCH_SENTENCES = 64
TRAIN_BATCH = 32
CRF_STEPS = 100  # maximum iterations of L-BFGS
UNITS = 100  # LSTM units of flair per direction, as in ncrfpp.toml
Tags = list[list[str]]


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """Training data and limits of a peer, and the folder of its model."""

    folder: Path
    train: Corpus
    vectors: Path
    epochs: int
    minutes: float
    threads: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Peer:
    """A trained tagger: the timed function, the conversion of its output to IOB2 tags, and training facts."""

    tag: Callable[[Sequence[Tokens]], Any]
    to_tags: Callable[[Any], Tags]
    trained: dict[str, float]


def limited_batches(setup: TrainingSetup, name: str) -> Iterator[tuple[float, list[int]]]:
    """Yield batches of train sentence indices in a new random order each epoch; save the training facts.

    Each batch comes with the finished share of training, by epochs or minutes, whichever is larger.
    """
    start_time, seconds = time.monotonic(), max(1e-9, 60 * setup.minutes)
    order = list(range(len(setup.train.tokens)))
    generator = random.Random(setup.seed)
    for epoch in range(setup.epochs):
        generator.shuffle(order)
        for start in range(0, len(order), TRAIN_BATCH):
            epochs = epoch + start / len(order)
            done = max(epochs / setup.epochs, (time.monotonic() - start_time) / seconds)
            if done >= 1:
                save_training_facts(setup, name, {"epochs": round(epochs, 1)})
                return
            yield done, order[start : start + TRAIN_BATCH]
    save_training_facts(setup, name, {"epochs": setup.epochs})


def save_training_facts(setup: TrainingSetup, name: str, facts: dict[str, float]) -> None:
    """Save how long a peer was trained, which its F1 depends on."""
    (setup.folder / f"{name}.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def load_training_facts(folder: Path, name: str) -> dict[str, float]:
    """Load how long a peer was trained; empty if unknown."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def make_crf(path: Path, steps: int) -> Any:
    """Create a linear-chain CRF of sklearn-crfsuite that loads its model from, or saves it to, a file."""
    import sklearn_crfsuite

    return sklearn_crfsuite.CRF(
        algorithm="lbfgs",
        c1=0.1,
        c2=0.1,
        max_iterations=steps,
        all_possible_transitions=True,
        model_filename=str(path),
    )


def crfsuite(setup: TrainingSetup) -> Peer:
    """Train or load a linear-chain CRF with the features of sklearn-crfsuite's tutorial, without POS tags.

    Training ignores the limit of minutes.
    """
    path = setup.folder / "crfsuite.model"
    model = make_crf(path, CRF_STEPS)
    if not path.is_file():
        model.fit([extract_features(tokens) for tokens in setup.train.tokens], setup.train.tags)
        save_training_facts(setup, "crfsuite", {"steps": CRF_STEPS})

    def tag(sentences: Sequence[Tokens]) -> Tags:
        return model.predict([extract_features(tokens) for tokens in sentences])

    return Peer(tag, lambda tags: [list(row) for row in tags], load_training_facts(setup.folder, "crfsuite"))


def extract_features(tokens: Tokens) -> list[dict[str, str | bool | float]]:
    """Extract the usual hand-crafted features: form, suffixes and casing of each token and its neighbours."""
    own = [
        {
            "lower": word.lower(),
            "upper": word.isupper(),
            "title": word.istitle(),
            "digit": word.isdigit(),
        }
        for word in tokens
    ]
    rows: list[dict[str, str | bool | float]] = []
    for index, word in enumerate(tokens):
        row: dict[str, str | bool | float] = {"bias": 1.0, "last3": word[-3:], "last2": word[-2:]} | own[
            index
        ]
        for name, other in (("before", index - 1), ("after", index + 1)):
            if 0 <= other < len(tokens):
                row |= {f"{name}:{key}": value for key, value in own[other].items()}
            else:
                row[f"{name}:edge"] = True
        rows.append(row)
    return rows


def spacy_ner(setup: TrainingSetup, *, width: int, depth: int) -> Peer:
    """Train or load a spaCy pipeline with only ``ner``, with its recommended CPU embedding and encoder.

    Static vectors are on at both sizes, and are looked up in lower case, as GloVe's words are lower-cased.
    """
    from spacy.tokens import Doc

    folder = setup.folder / f"spacy-{width}x{depth}"
    if not folder.is_dir():
        _train_spacy(setup, width, depth, folder)
    nlp = load_spacy(folder)

    def tag(sentences: Sequence[Tokens]) -> list[Any]:
        docs = list(nlp.pipe((Doc(nlp.vocab, words=list(tokens)) for tokens in sentences), batch_size=256))
        for doc in docs:
            tuple(doc.ents)
        return docs

    def to_tags(docs: list[Any]) -> Tags:
        return [
            [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in doc]
            for doc in docs
        ]

    return Peer(tag, to_tags, load_training_facts(setup.folder, folder.name))


def load_spacy(folder: Path) -> Any:
    """Load a pipeline that ``spacy_ner`` saved."""
    import spacy
    from spacy.vectors import Vectors

    nlp = spacy.load(folder)
    loaded = nlp.vocab.vectors  # a saved pipeline does not store the lookup attribute
    keys = sorted(loaded, key=loaded.key2row.__getitem__)
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=loaded.data, keys=keys, attr="LOWER")
    return nlp


def _train_spacy(setup: TrainingSetup, width: int, depth: int, folder: Path) -> None:
    import spacy
    from spacy.training import Example
    from spacy.vectors import Vectors
    from thinc.api import fix_random_seed

    fix_random_seed(setup.seed)
    nlp = spacy.blank("en")
    words, rows = read_vectors(setup.vectors)
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=rows, keys=words, attr="LOWER")
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": width,
        "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
        "rows": [5000, 1000, 2500, 2500],
        "include_static_vectors": True,
    }
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": width,
        "depth": depth,
        "window_size": 1,
        "maxout_pieces": 3,
    }
    parser = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode},
    }
    nlp.add_pipe("ner", config={"model": parser})
    corpus = setup.train

    def example(index: int) -> Any:
        doc = spacy.tokens.Doc(nlp.vocab, words=corpus.tokens[index])
        return Example.from_dict(doc, {"entities": _biluo(corpus.tags[index])})

    optimizer = nlp.initialize(lambda: [example(index) for index in range(len(corpus.tokens))])
    for _, batch in limited_batches(setup, folder.name):
        nlp.update([example(index) for index in batch], sgd=optimizer, drop=0.1)
    temporary = folder.with_suffix(".part")
    with nlp.use_params(optimizer.averages):
        nlp.to_disk(temporary)
    temporary.rename(folder)  # an interrupted training leaves no incomplete pipeline


def _biluo(tags: Sequence[str]) -> list[str]:
    return spans_to_tags(tags_to_spans(tags, "IOB2"), len(tags), "BILOU")


def flair_tagger(setup: TrainingSetup) -> Peer:
    """Train or load flair's ``SequenceTagger``: the same vectors, character LSTM, BiLSTM of 100 units, CRF.

    Weights are saved as safetensors without the vectors, which are read from their own file.
    """
    import flair
    import torch
    from flair.data import Dictionary
    from flair.embeddings import CharacterEmbeddings, StackedEmbeddings, WordEmbeddings
    from flair.models import SequenceTagger
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(setup.threads)
    flair.device = torch.device("cpu")
    flair.set_seed(setup.seed)
    words, rows = read_vectors(setup.vectors)
    static = WordEmbeddings(
        None,
        vocab={word: row for row, word in enumerate(words)},
        embedding_length=rows.shape[1],
        name="glove",
    )
    with torch.no_grad():
        static.embedding.weight[:-1] = torch.from_numpy(rows)
    characters = Dictionary()
    for character in sorted({one for tokens in setup.train.tokens for word in tokens for one in word}):
        characters.add_item(character)
    labels = Dictionary(add_unk=False)
    labels.span_labels = True
    for label in sorted({tag[2:] for tags in setup.train.tags for tag in tags if tag != "O"}):
        labels.add_item(label)
    model = SequenceTagger(
        StackedEmbeddings([static, CharacterEmbeddings(characters)]),
        labels,
        TASK,
        hidden_size=UNITS,
        reproject_embeddings=False,
    )
    path = setup.folder / "flair.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path), strict=False)
    else:
        _train_flair(setup, model)
        vectors = {id(parameter) for parameter in static.parameters()}
        weights = {
            name: value
            for name, value in model.state_dict(keep_vars=True).items()
            if id(value) not in vectors
        }
        save_file({name: value.detach().contiguous().clone() for name, value in weights.items()}, path)
    model.eval()

    def tag(sentences: Sequence[Tokens]) -> list[Any]:
        tagged = [flair.data.Sentence(list(tokens)) for tokens in sentences]
        model.predict(tagged, mini_batch_size=BATCH_SENTENCES, embedding_storage_mode="none")
        for sentence in tagged:
            sentence.get_spans(TASK)
        return tagged

    trained = load_training_facts(setup.folder, "flair")
    return Peer(tag, lambda tagged: [_flair_tags(sentence) for sentence in tagged], trained)


def _train_flair(setup: TrainingSetup, model: Any) -> None:
    import torch
    from flair.data import Sentence

    sentences = []
    for tokens, tags in zip(setup.train.tokens, setup.train.tags, strict=True):
        sentence = Sentence(tokens)
        for span in tags_to_spans(tags, "IOB2"):
            sentence[span.start : span.end].add_label(TASK, span.label)
        sentences.append(sentence)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad])
    model.train()
    for done, batch in limited_batches(setup, "flair"):
        optimizer.param_groups[0]["lr"] = 0.003 * (1 - done)
        batch_sentences = [sentences[index] for index in batch]
        loss, count = model.forward_loss(batch_sentences)
        optimizer.zero_grad()
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        for sentence in batch_sentences:
            sentence.clear_embeddings()


def _flair_tags(sentence: Any) -> list[str]:
    spans = [
        Span(span.tokens[0].idx - 1, span.tokens[-1].idx, span.tag)  # flair counts tokens from 1
        for span in sentence.get_spans(TASK)
    ]
    return spans_to_tags(spans, len(sentence), "IOB2")


PEERS: dict[str, tuple[str, Callable[[TrainingSetup], Peer]]] = {
    "sklearn-crfsuite": ("sklearn-crfsuite", crfsuite),
    "spaCy ner 96x4": ("spacy", lambda setup: spacy_ner(setup, width=96, depth=4)),
    "spaCy ner 256x8": ("spacy", lambda setup: spacy_ner(setup, width=256, depth=8)),
    "flair LSTM-CRF 100": ("flair", flair_tagger),
}
"""Package and factory by row name; the factory raises ImportError if the package is missing."""


def find_peers(setup: TrainingSetup, names: Sequence[str]) -> dict[str, Peer]:
    """Load or train the peers of these names; skip peers that are not installed, with a message."""
    setup.folder.mkdir(parents=True, exist_ok=True)
    peers = {}
    for name in names:
        package, make = PEERS[name]
        start = time.monotonic()
        try:
            peers[name] = make(setup)
        except ImportError as error:
            print(f"{name}: skipped ({error}). To include it: pip install {package}")
            continue
        print(f"{name}: ready after {time.monotonic() - start:.0f} s", flush=True)
    return peers
