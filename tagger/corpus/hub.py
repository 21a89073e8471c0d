"""Read HF ``datasets`` from a folder, a file or the hub, and write a folder or a ``Dataset``."""

from __future__ import annotations

import glob
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tagger.corpus.dataset_packages import import_packages, quiet
from tagger.corpus.dataset_rows import EXTRAS, TAGS_SUFFIX, Layout, find_layout, to_row
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import Records
from tagger.corpus.values import join_names
from tagger.errors import Counted, InputError
from tagger.text.sentence import Sentence

_BUILDERS = {".parquet": "parquet", ".arrow": "arrow", ".json": "json", ".jsonl": "json"}
_ADDRESS = re.compile(r"(?P<name>.+?)(?::(?P<config>[\w.-]+))?:(?P<split>\w+(?:\.\w+)*)")
_HUB_NAME = re.compile(r"(?P<name>\w[\w.-]*(?:/\w[\w.-]*)?)(?:@(?P<revision>[^@]+))?")
_ROWS = 1000  # batch size of reading and writing
_HUB_TIMEOUT_SECONDS = 10.0
_UNREADABLE = "datasets cannot read it"
_COLUMN_FILES = {".conll", ".conllu", ".iob2"}  # datasets would read only their tokens


@dataclass(frozen=True, slots=True)
class Address:
    """The location of a dataset.

    Attributes:
        name: A file, a folder, or a name on the hub, optionally with ``@REVISION``.
        config: The configuration on the hub or in the folder. None selects the only one.
        split: The split. None selects the only one.
    """

    name: str
    config: str | None = None
    split: str | None = None


def parse_address(path: str | Path) -> Address:
    """Parse ``NAME``, ``NAME:SPLIT`` or ``NAME:CONFIG:SPLIT``. The path of an existing file is a name."""
    match = _ADDRESS.fullmatch(str(path))
    return Address(**match.groupdict()) if match and not _exists(path) else Address(str(path))


def read_dataset(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Stream the sentences of a dataset, one per row.

    Memory is bounded, but Arrow prefetches up to 1 GiB of a parquet file for a slow caller.

    The location is a parquet, Arrow or JSON (lines) file; a folder that ``load_dataset`` can load or that
    ``save_to_disk`` wrote; or a name on the hub, ``user/name`` or ``user/name@REVISION``. Append a split as
    ``NAME:SPLIT``, a configuration and a split as ``NAME:CONFIG:SPLIT``. The split is optional if there is
    only one. The reader never runs code of a dataset. It downloads missing files from the hub; with
    ``HF_HUB_OFFLINE=1`` in the environment it uses only earlier downloads.

    The reader uses these features:

    - tokens: ``tokens``, ``words``, ``token`` or ``form``, a list of strings;
    - tags of a task T: ``T``, ``T_tags``, ``T_tag`` or ``T_labels``, a list of strings or of ``ClassLabel``,
      whose integers become names; ``reading.label_names`` names plain integers. ``reading.columns`` maps
      other names, as in ``token=words,ner=my_feature``. Without requested tasks, every such list is a task,
      named without the suffix;
    - text: ``text``, if it contains the tokens in order; otherwise the text is the tokens joined by spaces;
    - documents: a document begins with the first row, and where ``starts_document`` is true or, without this
      feature, where ``document_id``, ``doc_id`` or ``newdoc`` changes.

    The reader skips rows without tokens and reports them to ``reading.warn``. A sentence's source is
    ``NAME:SPLIT:ROW``, with rows counted from 1.

    Yields:
        Sentences with ``tags``.

    Raises:
        InputError: If ``datasets`` is not installed; if the dataset or split does not exist, or there are
            several splits and none is named; if a feature is missing or has another type; if a file is
            damaged. Through ``reading.on_error``: a row with None or an empty string as a token or tag, with
            an integer outside the ``ClassLabel``, or without one tag per token; a split without sentences.
    """
    address = parse_address(path)
    splits = _open(address)
    split = address.split or next(iter(splits))
    named = ", ".join(splits)
    if split not in splits:
        raise InputError(
            f"there is no split {split!r}; the splits are: {named}.", code="corpus.empty", where=address.name
        )
    if address.split is None and len(splits) > 1:
        raise InputError(
            f"there are several splits ({named}). Name one, as in {address.name}:{split}.",
            code="argument.value",
            where=address.name,
        )
    yield from read_rows(splits[split], f"{address.name}:{split}", reading)


def to_dataset(sentences: Iterable[Sentence], tasks: Sequence[str]) -> Any:
    """Convert sentences to an in-memory ``datasets.Dataset``, one row per sentence.

    Its features are ``tokens``, ``T_tags`` for each task T with the tags as ``ClassLabel`` (sorted names, O
    first), ``text`` and ``starts_document``. It has ``token_offsets`` (relative to the text; otherwise white
    space determines them), ``text_start``, ``text_before``, ``conll_comments`` and ``conllu_extra_lines``
    only if a sentence needs them.

    Example:
        >>> from tagger.corpus.files import read_sentences
        >>> from tagger.corpus.hub import to_dataset
        >>> dataset = to_dataset(read_sentences("train.conll"), ["ner"])  # doctest: +SKIP
        >>> dataset.features["ner_tags"].feature.names  # doctest: +SKIP
        ['O', 'B-LOC', 'B-PER', 'I-PER']
        >>> dataset.push_to_hub("me/news")  # doctest: +SKIP

    Args:
        sentences: The sentences to convert.
        tasks: The tasks to keep. Every sentence must have tags for them.

    Raises:
        InputError: If ``datasets`` is not installed, if a sentence lacks the tags of a task, or if a string
            contains a lone surrogate.
    """
    datasets, _, arrow = import_packages()
    with io.BytesIO() as spill:
        features, batches = _write_twice(sentences, tasks, spill)
        return datasets.Dataset(arrow.Table.from_batches(batches, schema=features.arrow_schema))


def write_dataset(
    sentences: Iterable[Sentence], folder: Path, writing: Writing, *, split: str = "train"
) -> None:
    """Write sentences to a folder that ``datasets.load_dataset`` loads, with the features of ``to_dataset``.

    The folder gets ``data/SPLIT-00000-of-00001.parquet``; further calls can add splits. Memory is bounded:
    the set of tags is known only at the end, so the rows go to a temporary file first, which is deleted.

    Raises:
        InputError: See ``to_dataset``.
    """
    parquet = import_packages().arrow.parquet
    with tempfile.TemporaryFile(dir=folder) as spill:
        features, batches = _write_twice(sentences, writing.tasks, spill)
        target = folder / "data" / f"{split}-00000-of-00001.parquet"
        target.parent.mkdir(exist_ok=True)
        with parquet.ParquetWriter(target, features.arrow_schema) as file:
            for batch in batches:
                file.write_batch(batch)


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that is too long, or in an unreadable folder
        return False


def _open(address: Address) -> Mapping[str, Any]:
    """Return the splits by name. Of splits on the hub, only the features are loaded."""
    datasets = import_packages().datasets
    path = Path(address.name)
    if not _exists(path):
        return _open_hub(address, datasets)
    if not path.is_dir() and not path.is_file():
        raise InputError(
            "must be a file or folder (got a device or pipe). Save it to a file.",
            code="file.kind",
            where=path,
        )
    is_saved = any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))
    if address.config and (is_saved or not path.is_dir()):
        raise InputError(
            f"there is no configuration {address.config!r}. Write NAME:SPLIT.",
            code="argument.value",
            where=path,
        )
    with quiet(path, _UNREADABLE), tempfile.TemporaryDirectory() as cache:  # receives only a lock file
        if is_saved:
            saved = datasets.load_from_disk(str(path))
            return dict(saved) if isinstance(saved, dict) else {str(saved.split or "train"): saved}
        source = str(path.resolve())  # absolute: a folder may have the name of a builder of datasets
        if path.is_dir():
            _require_data_files(path)
            return dict(datasets.load_dataset(source, address.config, streaming=True, cache_dir=cache))
        files = glob.escape(source)
        return dict(datasets.load_dataset(_builder(path), data_files=files, streaming=True, cache_dir=cache))


def _require_data_files(folder: Path) -> None:
    suffixes = {path.suffix.lower() for path in folder.rglob("*")}
    if suffixes & _COLUMN_FILES or not suffixes - {"", ".md", ".txt"}:
        raise InputError(
            "this is a folder. Name a file in it, or a folder with an HF dataset's parquet, "
            "Arrow, JSON or CSV files.",
            code="file.kind",
            where=folder,
        )


def _builder(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    builder = _BUILDERS.get(suffixes[-1] if suffixes else "")
    if builder is None:
        raise InputError(
            f"a dataset file must be one of {', '.join(_BUILDERS)}. Choose the file's own format, "
            "or leave out the split.",
            code="corpus.format",
            where=path,
        )
    return builder


def _open_hub(address: Address, datasets: Any) -> Mapping[str, Any]:
    match = _HUB_NAME.fullmatch(address.name)
    if not match or Path(match["name"]).suffix in _BUILDERS:
        raise InputError(
            "there is no such file or folder. Check the path.", code="file.missing", where=address.name
        )
    hub = import_packages().hub
    with quiet(address.name, "there is no such file or folder, and the hub request failed"):
        if not hub.constants.HF_HUB_OFFLINE:  # load_dataset itself would retry for long with a vague error
            hub.HfApi().dataset_info(match["name"], revision=match["revision"], timeout=_HUB_TIMEOUT_SECONDS)
        return dict(
            datasets.load_dataset(match["name"], address.config, revision=match["revision"], streaming=True)
        )


def _tables(dataset: Any, name: str) -> Iterator[Any]:
    """Yield the rows in batches, as Arrow tables."""
    with closing(dataset.with_format("arrow").iter(batch_size=_ROWS)) as batches:
        while True:
            with quiet(name, _UNREADABLE):
                table = next(batches, None)
            if table is None:
                return
            yield table


def read_rows(
    dataset: Any, name: str, reading: Reading, locate: Callable[[int], str] | None = None
) -> Iterator[Sentence]:
    """Yield the sentences of an open dataset, as in ``read_dataset``.

    Args:
        dataset: A ``datasets.Dataset`` or ``IterableDataset``.
        name: Its name in messages.
        reading: The reader options.
        locate: Returns the location of a row, counted from 0, in messages; by default ``NAME:ROW`` with rows
            counted from 1.
    """
    counted = Counted(reading.on_error)
    is_empty = starts = True
    last = None
    records = Records(name, replace(reading, on_error=counted))
    for index, (layout, row) in enumerate(_layout_rows(dataset, name, reading)):
        where = locate(index) if locate else f"{name}:{index + 1}"
        if layout.document:
            document = row[layout.document]
            starts |= document is True if layout.document == "starts_document" else document != last
            last = document
        try:
            if layout.tokens is None:
                sentences = records.read(row, where)
            else:
                sentences = [replace(layout.sentence(row, where), starts_document=starts)]
        except InputError as error:
            counted(error)
            continue
        for sentence in sentences:
            if sentence.tokens:
                yield sentence
                is_empty = starts = False
            else:
                reading.warn(f"{where}: the row has no tokens and was skipped")
    records.finish()
    if is_empty and not counted.count:
        reading.on_error(
            InputError(
                "the split has no sentences. Name a split whose rows have tokens.",
                code="corpus.empty",
                where=name,
            )
        )


def _layout_rows(dataset: Any, name: str, reading: Reading) -> Iterator[tuple[Layout, Mapping[str, Any]]]:
    layout = None
    for table in _tables(dataset, name):
        if layout is None:  # the first batch determines the features of JSON
            kinds = import_packages().datasets.Features
            features = dataset.features or kinds.from_arrow_schema(table.schema)
            layout = find_layout(features, name, reading)
            if layout.ignored:
                ignored = join_names(layout.ignored)
                reading.warn(
                    f"{name}: the features {ignored} were ignored; sentences have no field for them."
                )
        for row in table.select(layout.features).to_pylist():
            yield layout, row


def _write_twice(
    sentences: Iterable[Sentence], tasks: Sequence[str], spill: IO[bytes]
) -> tuple[Any, Iterator[Any]]:
    """Write all rows to a temporary file, then return them with their final features.

    Args:
        sentences: The sentences to write.
        tasks: The tasks to write.
        spill: An empty file to write and read. It must stay open while the batches are used.

    Returns:
        The features, and the rows as Arrow record batches.
    """
    arrow = import_packages().arrow
    ids: dict[str, dict[str, int]] = {task: {} for task in tasks}  # tag ids in order of appearance
    used: set[str] = set()
    iterator = iter(sentences)
    schema = _features(ids, EXTRAS).arrow_schema
    with arrow.ipc.new_stream(spill, schema) as stream:
        while batch := list(islice(iterator, _ROWS)):
            rows = [to_row(sentence, tasks) for sentence in batch]
            used.update(*rows)
            for task, known in ids.items():
                for row in rows:
                    row[task + TAGS_SUFFIX] = [
                        known.setdefault(tag, len(known)) for tag in row[task + TAGS_SUFFIX]
                    ]
            stream.write_batch(_record_batch(rows, batch, schema))
    spill.seek(0)
    labels = {task: sorted(known, key=lambda tag: (tag != "O", tag)) for task, known in ids.items()}
    features = _features(labels, [extra for extra in EXTRAS if extra in used])
    orders = {
        task + TAGS_SUFFIX: arrow.array([labels[task].index(tag) for tag in known], arrow.int64())
        for task, known in ids.items()
    }
    return features, _relabelled(spill, features, orders)


def _relabelled(spill: IO[bytes], features: Any, orders: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the rows with final tag ids: ``orders[feature][id in the file]``."""
    arrow = import_packages().arrow
    for batch in arrow.ipc.open_stream(spill):
        columns = [batch.column(feature) for feature in features]
        for index, feature in enumerate(features):
            if feature in orders:
                tag_ids = orders[feature].take(columns[index].values)
                columns[index] = arrow.ListArray.from_arrays(columns[index].offsets, tag_ids)
        yield arrow.RecordBatch.from_arrays(columns, schema=features.arrow_schema)


def _record_batch(rows: list[dict[str, Any]], sentences: Sequence[Sentence], schema: Any) -> Any:
    try:
        return import_packages().arrow.RecordBatch.from_pylist(rows, schema=schema)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        where = next((sentence.source for sentence in sentences if character in sentence.text), "")
        raise InputError(
            f"the character {character!r} is half of a surrogate pair. Replace it.",
            code="corpus.encoding",
            where=where or "a sentence",
        ) from None


def _features(labels: Mapping[str, Iterable[str]], extras: Iterable[str]) -> Any:
    datasets = import_packages().datasets
    number, string = datasets.Value("int32"), datasets.Value("string")
    kinds = {
        "text": string,
        "token_offsets": datasets.List(datasets.List(number)),
        "text_start": datasets.Value("int64"),
        "text_before": string,
        "starts_document": datasets.Value("bool"),
        "conll_comments": datasets.List(string),
        "conllu_extra_lines": datasets.List({"place": number, "line": string}),
    }
    tags = {
        task + TAGS_SUFFIX: datasets.List(datasets.ClassLabel(names=list(names)))
        for task, names in labels.items()
    }
    return datasets.Features(
        {"tokens": datasets.List(string), **tags} | {name: kinds[name] for name in extras}
    )
