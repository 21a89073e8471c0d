"""Distil contextual models of CoNLL-2003 and raw news into a model without an encoder; compare all of them.

python scripts/experiments/student.py CORPORA VECTORS ENCODER WORK [--teachers 3] [--seeds 3] [--set K=V]…

CORPORA contains conll2003, wikigold and raw_news; ENCODER is a folder that `tagger encoder export` wrote. The
teachers are trained with the default options and the encoder; the mean of their probabilities on the news,
and CoNLL-2003 train, train the students. With --pairs each student has the teacher of its own seed. Scored
are CoNLL-2003 dev, its entities with a word that is not in CoNLL-2003 train, and all of Wikigold, also for
models with the default options (plain). With --topics all models are trained on the rest of the topic split
of generalisation.py, and also scored on its held-out documents. Each model is scored with and without the
vote on the labels of a document's spans (model.consistent_labels). WORK has the models; a call that is
interrupted continues at the next. --keep FILE.json saves the scores.
"""

import argparse
import gzip
import json
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from generalisation import split_topics

from tagger import Sentence, Tagger, distil, read_corpus, train
from tagger.config_loading import parse_setting
from tagger.evaluation.scores import score_spans, score_spans_by_vocabulary

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "conll2003.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--teachers", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=8000, help="number of news articles")
    parser.add_argument("--gold", type=int, default=1, help="passes over CoNLL-2003 per pass over the news")
    parser.add_argument("--pairs", action="store_true", help="one teacher per student, with the same seed")
    parser.add_argument("--topics", action="store_true", help="hold out documents by topic")
    parser.add_argument("--name", default="student", help="prefix of the students' folders")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="option of the students"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE.json")
    arguments = parser.parse_args()
    conll = arguments.corpora / "conll2003"
    gold = read_corpus(conll / "eng.train", task="ner")
    evaluation = Evaluation(arguments.corpora, gold)
    if arguments.topics:
        gold, held_out = split_topics(gold)
        evaluation.add("topic split", held_out)
    shared = {
        "dev": conll / "eng.testa",
        "vectors": arguments.vectors,
        "config": RECIPE,
        "resume": True,
    }
    prefix = "topics-" * arguments.topics

    def fit(name: str, count: int, encoder: str | None = None) -> list[Tagger]:
        return [
            train(
                gold, encoder=encoder, seed=seed, output=arguments.work / f"{prefix}{name}-{seed}", **shared
            )
            for seed in range(1, count + 1)
        ]

    evaluation.report("plain", fit("plain", arguments.seeds))
    teachers = fit(
        "teacher", arguments.seeds if arguments.pairs else arguments.teachers, str(arguments.encoder)
    )
    evaluation.report("teachers", teachers)
    news = list(read_news(arguments.corpora / "raw_news" / "reuters21578.jsonl.gz"))
    students = [
        distil(
            teachers[seed - 1 : seed] if arguments.pairs else teachers,
            news[: arguments.documents],
            gold=gold * arguments.gold,
            output=arguments.work / f"{prefix}{arguments.name}-{seed}",
            seed=seed,
            **dict(map(parse_setting, arguments.set)),
            **shared,
        )
        for seed in range(1, arguments.seeds + 1)
    ]
    evaluation.report(arguments.name, students)
    if arguments.keep:
        names = ("teachers", "seeds", "documents", "gold", "pairs", "topics", "name", "set")
        settings = {name: getattr(arguments, name) for name in names}
        record = {"settings": settings, "rows": evaluation.rows}
        arguments.keep.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_news(path: Path) -> Iterator[str]:
    """Yield the title and the text of each article; only the first lines of paragraphs are indented."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            article = json.loads(line)
            yield f"{article['title']}\n\n" + re.sub(r"\n(?=\S)", " ", article["text"])


class Evaluation:
    """The scored corpora.

    Args:
        corpora: Folder of the corpora.
        split: CoNLL-2003 train, whose words are known.
    """

    def __init__(self, corpora: Path, split: Sequence[Sentence]) -> None:
        self._dev = read_corpus(corpora / "conll2003" / "eng.testa", task="ner")
        self._others = {
            "Wikigold": read_corpus(corpora / "wikigold" / "train.iob2", columns="token,ner"),
        }
        self._known = {word for sentence in split for word in sentence.tokens}
        self.rows: list[dict[str, object]] = []

    def add(self, title: str, sentences: Sequence[Sentence]) -> None:
        """Add a corpus."""
        self._others[title] = list(sentences)

    def report(self, name: str, models: Sequence[Tagger]) -> None:
        """Print the F1 of some models on each corpus, with the mean."""
        for vote in (False, True):
            columns = zip(*(self.score(with_vote(model, vote)) for model in models), strict=True)
            for title, values in zip(("dev", "unseen words", *self._others), columns, strict=True):
                self.rows.append({"models": name, "vote": vote, "corpus": title, "f1": values})
                each = " ".join(f"{value:.4f}" for value in values)
                print(
                    f"{name:<12} {'vote' * vote:<4} {title:<13} {statistics.mean(values):.4f} ({each})",
                    flush=True,
                )

    def score(self, model: Tagger) -> tuple[float, ...]:
        """Return F1 on dev, on its entities with a word that is not in train, and on the other corpora."""
        gold, predicted = tags_of(self._dev, model)
        seen = [[word in self._known for word in sentence.tokens] for sentence in self._dev]
        unseen = score_spans_by_vocabulary(gold, predicted, seen)["unseen"]["f1"]
        others = (score_spans(*tags_of(sentences, model))["f1"] for sentences in self._others.values())
        return score_spans(gold, predicted)["f1"], unseen, *others


def tags_of(sentences: Sequence[Sentence], model: Tagger) -> tuple[list[tuple[str, ...]], ...]:
    """Return the gold tags and the model's."""
    return tuple([one.tags["ner"] for one in each] for each in (sentences, model.tag_sentences(sentences)))


def with_vote(model: Tagger, vote: bool) -> Tagger:
    """Return the model with or without the vote on labels."""
    config = model.bundle.config
    if config.model.consistent_labels == vote:
        return model
    options = config.model.model_copy(update={"consistent_labels": vote})
    return Tagger(replace(model.bundle, config=config.model_copy(update={"model": options})))


if __name__ == "__main__":
    main()
