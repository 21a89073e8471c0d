"""Tables of scores in accuracy.md and other pages; docs_tables.py describes their use."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import cog
from docs_tables import BENCHMARKS, EXPERIMENTS, SCRIPTS, benchmark, count, read, table

SYSTEMS = {  # a system's name in small_data/runs.json, and its text in the docs
    "tagger": "tagger",
    "tagger+encoder": "tagger, with an MPNet [encoder](#contextual-encoder)",
    "spacy": "spaCy 3.8.18 `ner`, width 96, depth 4, the same vectors",
    "crfsuite+vectors": "sklearn-crfsuite, hand-written features and the same vectors",
    "crfsuite": "sklearn-crfsuite, hand-written features",
}
DEFAULT_MODELS = {  # a task in accuracy/recipes.json, its corpus and its measure in the docs
    "ner": ("CoNLL-2003 English", "entity F1"),
    "pos": ("UD English EWT 2.16", "UPOS accuracy"),
    "xpos": ("the same models", "XPOS accuracy"),
    "chunk": ("CoNLL-2000, every tenth sentence held out", "chunk F1"),
}
ADDED = {  # a way in add_label.json, the labels that are marked, and how the data are read
    "old model": ("", ""),
    "partial": ("MISC only", "`--partial`"),
    "full": ("all four", ""),
    "partial, faster": ("MISC only", "`--partial`"),
    "partial, faster, soft weight 0.5": ("MISC only", "`--partial`, `train.soft_weight=0.5`"),
    "naive, faster": ("MISC only", ""),
}
TOKENIZERS = {
    "tagger, learnt": "tagger, convention learnt",
    "tagger, default": "tagger, defaults",
    "spaCy": "spaCy {spacy}, blank English with its sentencizer",
}
CALIBRATED = {  # a model's name, and its tasks with their names in the docs
    "conll2003": {"ner": "CoNLL-2003, spans"},
    "ud_ewt": {"pos": "UD EWT, UPOS of tokens", "xpos": "UD EWT, XPOS of tokens"},
}
STUDENTS = {  # models of students/*.json, and their texts in the docs
    "plain": "default options, no encoder",
    "teachers": "teachers, with encoder",
    "student": "students",
}
OTHER_STUDENTS = {  # a file of students/, which is also the name of its students, and its text
    "student-6": "6 epochs, two passes over train in each",
    "student-100": "100 units, without document context",
}


def ranged(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Return the mean, and the lowest and the highest value in brackets."""
    low, high, mean = min(values), max(values), statistics.fmean(values)
    return f"{mean:.{digits}f}", f" ({low:.{digits}f} to {high:.{digits}f})"


def default_options() -> None:
    """Write the dev scores of the recipes, by seed."""
    runs = read(EXPERIMENTS / "accuracy" / "recipes.json")

    def cells(task: str) -> Iterable[str]:
        own = [run for run in runs if run["task"] == task]
        best = [run["best"] for run in own]
        yield f"**{statistics.fmean(best):.4f}**"
        yield f"{statistics.stdev(best):.4f}"
        yield " ".join(f"{score:.4f}" for score in best)
        yield f"{statistics.fmean(run['last'] for run in own):.4f}"
        minutes, seconds = divmod(round(statistics.median(run["seconds"] for run in own)), 60)
        yield f"{minutes} min {seconds} s"

    table(
        ["corpus", "measure", "dev", "sd", "seeds 1, 2, …", "last epoch", "median time, 40 epochs"],
        ([*names, *cells(task)] for task, names in DEFAULT_MODELS.items()),
    )


def small_data() -> None:
    """Write F1 after training on few sentences, next to other taggers."""
    runs = read(EXPERIMENTS / "small_data" / "runs.json")
    settings = ("conll2003-100", "conll2003-500", "conll2003-2000", "wikigold")

    def cells(system: str) -> Iterable[str]:
        for setting in settings:
            own = [
                run["f1"] for run in runs if run["system"] == system and run["setting"].startswith(setting)
            ]
            if not own:
                yield ""
                continue
            mean, interval = ranged(own, 4)
            yield (f"**{mean}**" if system == "tagger" else mean) + (interval if len(own) > 1 else "")

    table(
        [
            "F1",
            "CoNLL-2003, first 100 sentences",
            "first 500",
            "first 2,000",
            "Wikigold, mean of five folds (lowest to highest)",
        ],
        ([text, *cells(system)] for system, text in SYSTEMS.items()),
    )


def contextual() -> None:
    """Write what an encoder adds by size of the train split, and the speed with it."""
    record = read(BENCHMARKS / "contextual.json")
    rows = record["rows"]
    own = {(row["sentences"], row["epochs"], row["has_vectors"], row["encoder"]): row for row in rows}

    def cells(size: int, epochs: int, has_vectors: bool) -> Iterable[str]:
        scores = {
            kind: f"{own[size, epochs, has_vectors, kind]['f1']:.4f}"
            for kind in ("none", "f32", "int8")
            if (size, epochs, has_vectors, kind) in own
        }
        yield f"{size:,} sentences" if size < 14_041 else "all"
        yield str(epochs)
        yield "GloVe 6B 100d" if has_vectors else "none"
        yield scores["none"]
        yield scores["f32"] + (f" (int8 states: {scores['int8']})" if "int8" in scores else "")

    table(
        ["train", "epochs", "word vectors", "without", "with encoder"],
        (list(cells(*trial)) for trial in dict.fromkeys(key[:3] for key in own)),
    )
    speeds = (f"{count(row)} in {row['encoder']}" for row in rows if "words_per_second" in row)
    cog.outl(
        "Words per second of processor time with the encoder, one thread, on the first "
        f"{record['settings']['speed_sentences']} sentences of dev: {' and '.join(speeds)}.\n"
    )


def label_errors() -> None:
    """Write how well corrupted labels are found."""
    record = read(BENCHMARKS / "label_errors.json")
    kinds = ("type", "border", "missing", "spurious")  # a quarter of the corruptions each

    def cells(name: str) -> Iterable[str]:
        own = [row for row in record["rows"] if row["name"] == name]
        for key in ("average_precision", "precision_at_200"):
            yield "".join(ranged([row[key] for row in own], 3))
        yield f"{100 * statistics.fmean(row[f'found_{kind}'] for row in own for kind in kinds):.0f} %"

    table(
        ["", "average precision", "precision of the first 200", "corruptions listed"],
        [["GloVe 6B", *cells("margin with vectors")], ["no pretrained vectors", *cells("margin")]],
    )


def add_label() -> None:
    """Write what a model keeps and learns when it is trained further with a new label."""

    def cells(row: dict[str, Any]) -> Iterable[str]:
        yield f"{row['sentences']:,} sentences" if row["sentences"] else "none"
        yield from ADDED[row["way"]]
        yield f"{row.get('learning_rate', '')}"
        yield from (f"{row[key]:.4f}" for key in ("old_labels", "MISC"))

    table(
        ["new data", "labels marked", "read with", "learning rate", "old labels", "MISC"],
        map(list, map(cells, read(BENCHMARKS / "add_label.json")["rows"])),
    )


def adapt() -> None:
    """Write F1 of the English model before and after training on other data."""
    rows = {row["split"]: row for row in read(BENCHMARKS / "adapt.json")["rows"] if row["label"] == "all"}
    names = {"old dev": "old dev (UNER EWT)", "new dev": "new dev (`eng.testa` without MISC)"}
    table(
        ["", "before", "after"],
        (
            [text, *(f"{rows[split][key]:.4f}" for key in ("before", "after"))]
            for split, text in names.items()
        ),
    )


def distil() -> None:
    """Write how often a student's tags equal those of the English model."""
    names = {"pos": "parts of speech", "ner": "entities"}
    table(
        ["", "tokens", "equal tags"],
        (
            [names[row["task"]], f"{row['tokens']:,}", f"{100 * row['equal']:.1f} %"]
            for row in read(BENCHMARKS / "distil.json")["rows"]
        ),
    )


def quickstart() -> None:
    """Write the test scores of the two models of quickstart.py."""
    scores = read(SCRIPTS / "recipes" / "results" / "quickstart.json")

    def cells(task: str, measure: str) -> Iterable[str]:
        yield f"{scores['forward'][task][measure]:.4f}"
        yield f"**{scores['bidirectional'][task][measure]:.4f}**"

    table(
        [
            "`data/`, no pretrained vectors, sentences without document context, seed 1",
            "forward",
            "bidirectional",
        ],
        [
            ["entity F1, test split", *cells("ner", "f1")],
            ["UPOS accuracy, test split", *cells("pos", "accuracy")],
        ],
    )


def tokenizer() -> None:
    """Write scores and speed of tokenizers."""
    rows, versions = benchmark("tokenizer")

    def cells(name: str) -> Iterable[str]:
        row = next(row for key, row in rows.items() if key.startswith(name))
        yield TOKENIZERS[name].format_map(versions)
        yield from (f"{row[key]:.4f}" for key in ("token_f1", "sentence_f1"))
        yield from (count(row, f"{text}_tokens_per_second") for text in ("dev", "raw"))

    table(
        ["", "token F1", "sentence F1", "tokens/s, dev", "tokens/s, Moby-Dick"],
        map(list, map(cells, TOKENIZERS)),
    )


def calibration() -> None:
    """Write temperatures, and calibration errors before and after, of a model of each corpus."""
    rows = {corpus: read(BENCHMARKS / f"calibration-{corpus}.json")["rows"] for corpus in CALIBRATED}

    def cells(corpus: str, task: str, kind: str) -> Iterable[str]:
        own = [row for row in rows[corpus] if row["task"] == task and row.get("halves") == f"{kind}s"]
        yield ", ".join(f"{row['temperature']:.2f}" for row in own)
        yield ", ".join(f"{row['before']:.4f}" for row in own)
        yield ", ".join(f"**{row['after']:.4f}**" for row in own)

    table(
        ["dev", "halves", "temperature", "before", "after"],
        (
            [name, f"every other {kind}", *cells(corpus, task, kind)]
            for corpus, tasks in CALIBRATED.items()
            for task, name in tasks.items()
            for kind in ("document", "sentence")
        ),
    )


def thresholds() -> None:
    """Write precision and recall by score threshold."""
    record = read(BENCHMARKS / "calibration-conll2003.json")
    own = [row for row in record["rows"] if "min_score" in row]
    table(
        ["`--min-score`", *(f"{row['min_score']:g}" for row in own)],
        ([key, *(f"{row[key]:.4f}" for row in own)] for key in ("precision", "recall")),
    )


def recipes() -> None:
    """Write what directions score in the recipes outside tagging."""
    folder = SCRIPTS / "recipes" / "results"
    reviews, words, power = (read(folder / f"{name}.json") for name in ("sentiment", "missing_word", "power"))

    def accuracy(name: str) -> str:
        return f"{reviews[name]['accuracy'][-1]:.4f}"

    def word(side: dict[str, Any]) -> str:
        return f"{side['accuracy at 1']:.4f}, {side['accuracy at 5']:.4f}, {side['perplexity']:.1f}"

    def error(name: str) -> str:
        return f"{power[name]['mean absolute error, kW']:.4f}"

    forward = accuracy("forward's final state")
    merged = f"{accuracy('classic: both, concat')} concat, **{accuracy('both, sum')}** sum"
    table(
        ["recipe", "forward", "backward", "bidirectional"],
        [
            [
                "`sentiment.py`: film reviews, test accuracy after the last of 4 epochs "
                "(final states of 64 units)",
                f"**{forward}**",
                accuracy("backward's final state"),
                f"{merged}, {accuracy('both, mul')} mul, {accuracy('both, ave')} ave",
            ],
            [
                "`missing_word.py`: predict a hidden word of UD EWT from its left context, right "
                "context or both: accuracy at 1, at 5, perplexity",
                *(word(words[side]) for side in ("left", "right", "both")),
            ],
            [
                "`power.py`: household power, 24 hours from 168, mean absolute error in kW, 3 seeds",
                f"{error('LSTM, forward')}; same width as bidirectional "
                f"**{error('LSTM, forward, as wide as both')}**",
                error("LSTM, backward"),
                error("BiLSTM"),
            ],
        ],
    )


def students(file: str) -> None:
    """Write F1 of students, of their teachers and of the default options, with and without the vote."""
    corpora, scores = student_scores(file)

    def cell(values: Sequence[float]) -> str:
        each = " ".join(f"{value:.4f}" for value in values)
        return f"**{statistics.fmean(values):.4f}** ({each})" if len(values) > 1 else each

    table(
        ["", *corpora],
        (
            [text + ", vote" * vote, *(cell(scores[name, vote, corpus]) for corpus in corpora)]
            for name, text in STUDENTS.items()
            for vote in (False, True)
        ),
    )


def other_students() -> None:
    """Write F1 of single students with other options."""
    rows = []
    for name, text in OTHER_STUDENTS.items():
        corpora, scores = student_scores(name)
        rows.append([text, *(f"{scores[name, False, corpus][0]:.4f}" for corpus in corpora)])
    table(["", *corpora], rows)


def student_scores(file: str) -> tuple[list[str], dict[tuple[str, bool, str], list[float]]]:
    """Return the corpora of a run of student.py, and the F1 of its models by name, vote and corpus."""
    rows = read(EXPERIMENTS / "students" / f"{file}.json")["rows"]
    scores = {(row["models"], row["vote"], row["corpus"]): row["f1"] for row in rows}
    return list(dict.fromkeys(row["corpus"] for row in rows)), scores


def student_speed() -> None:
    """Write words per processor second of students next to a CRF with hand-written features."""
    names = {
        "sklearn-crfsuite": "sklearn-crfsuite, hand-written features",
        "tagger 100": "student of 100 units",
        "tagger 100, int8": 'the same, `precision="int8"`',
        "tagger 200": "student of 200 units",
        "tagger 200, int8": 'the same, `precision="int8"`',
    }
    rows = {row["name"]: row for row in read(BENCHMARKS / "throughput-documents.json")["rows"]}

    def cells(row: dict[str, Any]) -> Iterable[str]:
        share, rate = row["peer_share"], row["words_per_processor_second"]
        yield f"{rate['median']:,.0f}"
        yield f"{share['median']:.2f} ({share['low']:.2f} to {share['high']:.2f})"

    table(
        ["", "words per processor second", "of crfsuite"],
        ([text, *cells(rows[name])] for name, text in names.items()),
    )
