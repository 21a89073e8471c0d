"""Measure the cost of document context and of the vote on a document's labels.

    python scripts/benchmarks/context.py --model DIR --dev eng.testa

A model with document context and a copy without these weights tag the same sentences in turns; the tags of
the copy are meaningless. The same model also tags with model.consistent_labels. A share is a speed divided by
the speed of the copy, or by that of the model without the vote, in processor time.
"""

from dataclasses import replace
from pathlib import Path

from measurement import fix_threads, interleave, parser, rates, shares, show, show_machine, write_results

from tagger import Tagger
from tagger.bundle import Bundle, load_bundle
from tagger.corpus.files import read_sentences
from tagger.features.context_index import context_width

COLUMNS = {
    "name": "",
    "words_per_second": "words/s",
    "share": "share of plain (processor time)",
    "documents_share": "share of documents (processor time)",
}
ROUNDS = 7


def without_context(bundle: Bundle) -> Bundle:
    """Remove the document context inputs from a model."""
    shape = bundle.config.model
    width = context_width(shape.context_size)
    tensors = {}
    for name, tensor in bundle.tensors.items():
        is_input = name.startswith("encoder.layers.0.") and name.endswith("weight_ih_l0")
        if not name.startswith("context."):
            tensors[name] = tensor[:, :-width] if is_input else tensor
    return with_options(replace(bundle, tensors=tensors), context="sentence")


def with_options(bundle: Bundle, **changes: object) -> Bundle:
    """Return a bundle with other options of ``ModelConfig``."""
    model = bundle.config.model.model_copy(update=changes)
    return replace(bundle, config=bundle.config.model_copy(update={"model": model}))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="model with document context")
    options.add_argument("--dev", type=Path, required=True, help="corpus file with document boundaries")
    arguments = options.parse_args()
    fix_threads(arguments.threads)
    bundle = load_bundle(arguments.model)
    with_context = Tagger(bundle, threads=arguments.threads)
    plain_model = Tagger(without_context(bundle), threads=arguments.threads)
    with_vote = Tagger(with_options(bundle, consistent_labels=True), threads=arguments.threads)
    data = bundle.config.data
    whole = list(read_sentences(arguments.dev, columns=data.columns, tasks=data.tasks))
    runs = {
        "without context": lambda: list(plain_model.tag_sentences(whole)),
        "documents": lambda: list(with_context.tag_sentences(whole)),
        "documents, vote": lambda: list(with_vote.tag_sentences(whole)),
    }
    timings = interleave(runs, repeats=ROUNDS)
    count = sum(map(len, whole))
    plain = timings["without context"]
    rows = [
        {
            "name": name,
            "words_per_second": rates(count, rounds),
            "share": shares(rounds, plain, by="processor"),
            "documents_share": shares(rounds, timings["documents"], by="processor"),
        }
        for name, rounds in timings.items()
    ]
    show_machine()
    show("documents and sentences", rows, COLUMNS)
    write_results(
        "context", arguments.results, rows, {"rounds": ROUNDS, "words": count, "threads": arguments.threads}
    )


if __name__ == "__main__":
    main()
