"""Other taggers to stand beside ours: each is trained once on the same corpus and kept in a folder.

Every peer gets lists of strings and gives back its own objects, as its users get them; making its sentences
from strings, and its features, is part of the time. Training stops after some epochs or minutes, whichever is
first: what is compared is speed at a known F1, and nobody's best F1.
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
CRF_STEPS = 100  # of L-BFGS
UNITS = 100  # of flair's LSTM in each direction, as in ncrfpp.toml
Tags = list[list[str]]


@dataclass(frozen=True, slots=True)
class Schooling:
    """What a peer is trained with, and where it is kept."""

    folder: Path
    train: Corpus
    vectors: Path
    epochs: int
    minutes: float
    threads: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Peer:
    """A trained tagger: what is timed, its output as tags in IOB2, and how long it was trained."""

    tag: Callable[[Sequence[Tokens]], Any]
    to_tags: Callable[[Any], Tags]
    trained: dict[str, float]


def batches_until_time_is_up(schooling: Schooling, name: str) -> Iterator[tuple[float, list[int]]]:
    """Numbers of train sentences in batches, in an order drawn anew each epoch; notes how far it came.

    Before each batch stands the share of training that is done, by epochs or by minutes, whichever is more.
    """
    begun, seconds = time.monotonic(), max(1e-9, 60 * schooling.minutes)
    order = list(range(len(schooling.train.tokens)))
    generator = random.Random(schooling.seed)
    for epoch in range(schooling.epochs):
        generator.shuffle(order)
        for start in range(0, len(order), TRAIN_BATCH):
            epochs = epoch + start / len(order)
            done = max(epochs / schooling.epochs, (time.monotonic() - begun) / seconds)
            if done >= 1:
                note_training(schooling, name, {"epochs": round(epochs, 1)})
                return
            yield done, order[start : start + TRAIN_BATCH]
    note_training(schooling, name, {"epochs": schooling.epochs})


def note_training(schooling: Schooling, name: str, facts: dict[str, float]) -> None:
    """Write down how long a peer learnt, which its F1 depends on."""
    (schooling.folder / f"{name}.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def training_of(folder: Path, name: str) -> dict[str, float]:
    """How long a peer of this folder learnt, nothing where it is not known."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def make_crf(path: Path, steps: int) -> Any:
    """A linear CRF of sklearn-crfsuite whose model is, or will be, in a file."""
    import sklearn_crfsuite

    return sklearn_crfsuite.CRF(
        algorithm="lbfgs",
        c1=0.1,
        c2=0.1,
        max_iterations=steps,
        all_possible_transitions=True,
        model_filename=str(path),
    )


def crfsuite(schooling: Schooling) -> Peer:
    """A linear CRF over hand-made features of three words (sklearn-crfsuite's tutorial, without POS tags).

    Training takes its steps whatever the minutes are.
    """
    path = schooling.folder / "crfsuite.model"
    model = make_crf(path, CRF_STEPS)
    if not path.is_file():
        model.fit([features_of(tokens) for tokens in schooling.train.tokens], schooling.train.tags)
        note_training(schooling, "crfsuite", {"steps": CRF_STEPS})

    def tag(sentences: Sequence[Tokens]) -> Tags:
        return model.predict([features_of(tokens) for tokens in sentences])

    return Peer(tag, lambda tags: [list(row) for row in tags], training_of(schooling.folder, "crfsuite"))


def features_of(tokens: Tokens) -> list[dict[str, str | bool | float]]:
    """The usual hand-made features of each token: its form, endings and shape, and of its neighbours."""
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
    for place, word in enumerate(tokens):
        row: dict[str, str | bool | float] = {"bias": 1.0, "last3": word[-3:], "last2": word[-2:]} | own[
            place
        ]
        for name, other in (("before", place - 1), ("after", place + 1)):
            if 0 <= other < len(tokens):
                row |= {f"{name}:{key}": value for key, value in own[other].items()}
            else:
                row[f"{name}:edge"] = True
        rows.append(row)
    return rows


def spacy_ner(schooling: Schooling, *, width: int, depth: int) -> Peer:
    """Pipe ``ner`` of spaCy alone, with the embedding and encoder of its recommended settings for a CPU.

    Static vectors are on at both sizes, and are looked up in lower case, since GloVe's words are.
    """
    import spacy
    from spacy.tokens import Doc
    from spacy.vectors import Vectors

    folder = schooling.folder / f"spacy-{width}x{depth}"
    if not folder.is_dir():
        _train_spacy(schooling, width, depth, folder)
    nlp = spacy.load(folder)
    kept = nlp.vocab.vectors  # a saved pipeline does not say by which attribute they are looked up
    keys = sorted(kept, key=kept.key2row.__getitem__)
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=kept.data, keys=keys, attr="LOWER")

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

    return Peer(tag, to_tags, training_of(schooling.folder, folder.name))


def _train_spacy(schooling: Schooling, width: int, depth: int, folder: Path) -> None:
    import spacy
    from spacy.training import Example
    from spacy.vectors import Vectors
    from thinc.api import fix_random_seed

    fix_random_seed(schooling.seed)
    nlp = spacy.blank("en")
    words, rows = read_vectors(schooling.vectors)
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
    corpus = schooling.train

    def example(number: int) -> Any:
        doc = spacy.tokens.Doc(nlp.vocab, words=corpus.tokens[number])
        return Example.from_dict(doc, {"entities": _biluo(corpus.tags[number])})

    optimizer = nlp.initialize(lambda: [example(number) for number in range(len(corpus.tokens))])
    for _, batch in batches_until_time_is_up(schooling, folder.name):
        nlp.update([example(number) for number in batch], sgd=optimizer, drop=0.1)
    part = folder.with_suffix(".part")
    with nlp.use_params(optimizer.averages):
        nlp.to_disk(part)
    part.rename(folder)  # so that a folder is a whole pipeline, wherever training breaks off


def _biluo(tags: Sequence[str]) -> list[str]:
    return spans_to_tags(tags_to_spans(tags, "IOB2"), len(tags), "BILOU")


def flair_tagger(schooling: Schooling) -> Peer:
    """The ``SequenceTagger`` of flair: the same vectors, its character LSTM, a BiLSTM of 100 units, a CRF.

    Weights are kept as safetensors, without the vectors, which are read from their file again.
    """
    import flair
    import torch
    from flair.data import Dictionary
    from flair.embeddings import CharacterEmbeddings, StackedEmbeddings, WordEmbeddings
    from flair.models import SequenceTagger
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(schooling.threads)
    flair.device = torch.device("cpu")
    flair.set_seed(schooling.seed)
    words, rows = read_vectors(schooling.vectors)
    static = WordEmbeddings(
        None,
        vocab={word: row for row, word in enumerate(words)},
        embedding_length=rows.shape[1],
        name="glove",
    )
    with torch.no_grad():
        static.embedding.weight[:-1] = torch.from_numpy(rows)
    characters = Dictionary()
    for character in sorted({one for tokens in schooling.train.tokens for word in tokens for one in word}):
        characters.add_item(character)
    labels = Dictionary(add_unk=False)
    labels.span_labels = True
    for label in sorted({tag[2:] for tags in schooling.train.tags for tag in tags if tag != "O"}):
        labels.add_item(label)
    model = SequenceTagger(
        StackedEmbeddings([static, CharacterEmbeddings(characters)]),
        labels,
        TASK,
        hidden_size=UNITS,
        reproject_embeddings=False,
    )
    path = schooling.folder / "flair.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path), strict=False)
    else:
        _train_flair(schooling, model)
        vectors = {id(parameter) for parameter in static.parameters()}
        kept = {
            name: value
            for name, value in model.state_dict(keep_vars=True).items()
            if id(value) not in vectors
        }
        save_file({name: value.detach().contiguous().clone() for name, value in kept.items()}, path)
    model.eval()

    def tag(sentences: Sequence[Tokens]) -> list[Any]:
        made = [flair.data.Sentence(list(tokens)) for tokens in sentences]
        model.predict(made, mini_batch_size=BATCH_SENTENCES, embedding_storage_mode="none")
        for sentence in made:
            sentence.get_spans(TASK)
        return made

    trained = training_of(schooling.folder, "flair")
    return Peer(tag, lambda made: [_flair_tags(sentence) for sentence in made], trained)


def _train_flair(schooling: Schooling, model: Any) -> None:
    import torch
    from flair.data import Sentence

    sentences = []
    for tokens, tags in zip(schooling.train.tokens, schooling.train.tags, strict=True):
        sentence = Sentence(tokens)
        for span in tags_to_spans(tags, "IOB2"):
            sentence[span.start : span.end].add_label(TASK, span.label)
        sentences.append(sentence)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad])
    model.train()
    for done, batch in batches_until_time_is_up(schooling, "flair"):
        optimizer.param_groups[0]["lr"] = 0.003 * (1 - done)
        chosen = [sentences[number] for number in batch]
        loss, count = model.forward_loss(chosen)
        optimizer.zero_grad()
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        for sentence in chosen:
            sentence.clear_embeddings()


def _flair_tags(sentence: Any) -> list[str]:
    spans = [
        Span(found.tokens[0].idx - 1, found.tokens[-1].idx, found.tag)  # flair counts tokens from 1
        for found in sentence.get_spans(TASK)
    ]
    return spans_to_tags(spans, len(sentence), "IOB2")


PEERS: dict[str, tuple[str, Callable[[Schooling], Peer]]] = {
    "sklearn-crfsuite": ("sklearn-crfsuite", crfsuite),
    "spaCy ner 96x4": ("spacy", lambda schooling: spacy_ner(schooling, width=96, depth=4)),
    "spaCy ner 256x8": ("spacy", lambda schooling: spacy_ner(schooling, width=256, depth=8)),
    "flair LSTM-CRF 100": ("flair", flair_tagger),
}
"""Name of the row, package, and what makes the peer or raises ImportError where the package is missing."""


def find_peers(schooling: Schooling, names: Sequence[str]) -> dict[str, Peer]:
    """Load or train the peers of these names; those that are not installed are told and left out."""
    schooling.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        package, make = PEERS[name]
        started = time.monotonic()
        try:
            found[name] = make(schooling)
        except ImportError as error:
            print(f"{name} is left out ({error}); to have it: pip install {package}")
            continue
        print(f"{name} is ready after {time.monotonic() - started:.0f} s", flush=True)
    return found
