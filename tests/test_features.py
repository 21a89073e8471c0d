"""Vocabularies, vectors and batches."""

import gzip
import json
import struct
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import InputError
from tagger.features.batching import WordTable, group_by_length, shuffled_batches
from tagger.features.vectors import read_vectors
from tagger.features.vocab import UNKNOWN, Vocabulary, build_vocabulary, restore_vocabulary
from tagger.features.word_forms import CASING_TESTS, CASINGS, LONGEST_WORD, casing_id
from tagger.text.sentence import Sentence, from_tokens

WORDS = {"the": [1.0, 2.0], "New York": [3.0, 4.0], "Ärger": [5.5, -6.25], "apple": [7.0, 8.0]}


def sentence(*pairs: tuple[str, str]) -> Sentence:
    return from_tokens([token for token, _ in pairs]).with_tags({"ner": [tag for _, tag in pairs]})


def small_vocabulary(**options: bool) -> tuple[Vocabulary, frozenset[int]]:
    sentences = [
        sentence(("The", "O"), ("Leeds", "I-ORG"), ("the", "O")),
        sentence(("Leeds", "I-LOC"), ("1996", "O")),
    ]
    settings = {"lowercase": True, "fold_digits": False} | options
    return build_vocabulary(sentences, {"ner": "IOB1"}, scheme="BIOES", **settings)


def test_words_are_counted_in_normalised_form():
    vocabulary, singletons = small_vocabulary()
    assert set(vocabulary.words[2:]) == {"the", "leeds", "1996"}
    assert {vocabulary.words[number] for number in singletons} == {"1996"}
    assert vocabulary.word_id("LEEDS") == vocabulary.word_id("Leeds") > UNKNOWN
    assert vocabulary.word_id("Bath") == UNKNOWN
    cased, _ = small_vocabulary(lowercase=False)
    assert {"The", "the", "Leeds"} <= set(cased.words)
    assert cased.word_id("THE") == cased.word_id("the")  # falls back to lower case
    folded, _ = small_vocabulary(fold_digits=True)
    assert folded.word_id("2024") == folded.word_id("1996") > UNKNOWN


@given(st.lists(st.text(st.sampled_from("aBc-"), min_size=1, max_size=6), min_size=1, max_size=8))
def test_affixes_are_those_of_enough_distinct_words(words):
    tokens = sentence(*((word, "O") for word in (*words, *words)))
    options = {"scheme": "BIOES", "lowercase": True, "fold_digits": False}
    vocabulary, _ = build_vocabulary([tokens], {"ner": "IOB1"}, affix_min_words=2, **options)
    forms = {word.lower() for word in words}
    starts = [lambda form, n=length: form[:n] for length in (1, 2, 3)]
    ends = [lambda form, n=length: form[max(0, len(form) - n) :] for length in (1, 2, 3, 4)]
    ids = [vocabulary.word_affixes(word) for word in words]
    for kind, affix in enumerate([*starts, *ends]):
        for word, row in zip(words, ids, strict=True):
            shared = {form for form in forms if affix(form) == affix(word.lower())}
            assert (row[kind] > 0) == (len(shared) >= 2)
            for other, other_row in zip(words, ids, strict=True):
                if row[kind]:
                    assert (row[kind] == other_row[kind]) == (other.lower() in shared)
    known = [{row[kind] for row in ids} - {0} for kind in range(7)]
    assert sum(map(len, known)) == len(set.union(*known)) == len(vocabulary.affixes)


def test_shapes_are_those_of_train():
    tokens = sentence(("Leeds", "O"), ("B-52s", "O"), ("ärger", "O"))
    options = {"scheme": "BIOES", "lowercase": True, "fold_digits": False}
    vocabulary, _ = build_vocabulary([tokens], {"ner": "IOB1"}, has_shapes=True, **options)
    assert vocabulary.shapes == ("0Xxxxx", "1Xx", "0X-00x", "1X-0x", "0xxxxx", "1x")
    assert vocabulary.word_shapes("Paris") == vocabulary.word_shapes("Leeds") == [1, 2]
    assert vocabulary.word_shapes("Bath") == [0, 2]
    assert vocabulary.word_shapes("?") == [0, 0]
    assert build_vocabulary([tokens], {"ner": "IOB1"}, **options)[0].shapes == ()


def test_special_words_are_never_looked_up_by_name():
    vocabulary, _ = small_vocabulary()
    assert vocabulary.word_id("<padding>") == vocabulary.word_id("<unknown>") == UNKNOWN
    assert not vocabulary.is_seen("<unknown>")


def test_tags_include_every_prefix_of_every_label():
    vocabulary, _ = small_vocabulary()
    (task,) = vocabulary.tasks
    assert set(task.tags) == {"O"} | {f"{p}-{label}" for p in "BIES" for label in ("ORG", "LOC")}
    assert task.tags[task.ids["S-ORG"]] == "S-ORG"


def test_vocabulary_survives_json():
    vocabulary, _ = small_vocabulary()
    vocabulary = vocabulary.with_frozen_words(["york", "straße"])
    again = restore_vocabulary(json.loads(json.dumps(asdict(vocabulary))))
    assert again == vocabulary
    assert again.word_id("York") == len(vocabulary.words)
    assert not again.is_seen("York")
    assert again.is_seen("leeds")


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("house", "lower"),
        ("EU", "upper"),
        ("I", "title"),
        ("A.", "upper"),
        ("a1", "lower"),
        ("½", "number"),
        ("Leeds", "title"),
        ("McDonald", "mixed"),
        ("1996", "number"),
        ("F16", "has_digit"),
        ("3-1", "has_digit"),
        (",", "other"),
        ("東", "other"),
    ],
)
def test_casing(token, name):
    assert CASINGS[casing_id(token)] == name


def test_every_casing_has_a_test():
    assert {*CASING_TESTS, "padding"} == set(CASINGS)
    assert list(CASING_TESTS)[-1] == "other"


def test_long_words_keep_their_beginning_and_end():
    vocabulary, _ = small_vocabulary()
    ids = vocabulary.word_characters("L" * 5000 + "s")
    assert len(ids) == LONGEST_WORD
    assert ids[0] == vocabulary.character_ids["L"]
    assert ids[-1] == vocabulary.character_ids["s"]


def write_text(path: Path, *, header: bool, packed: bool = False) -> Path:
    rows = [f"{word} {' '.join(map(str, values))}" for word, values in WORDS.items()]
    text = "\n".join(([f"{len(WORDS)} 2"] if header else []) + rows) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def write_binary(path: Path) -> Path:
    rows = b"".join(
        w.encode() + b" " + struct.pack("<2f", *v) + b"\n" for w, v in WORDS.items() if " " not in w
    )
    path.write_bytes(b"3 2\n" + rows)
    return path


@pytest.mark.parametrize("kind", ["glove", "glove.gz", "fasttext", "binary"])
def test_every_format_gives_the_same_vectors(tmp_path, kind):
    path = tmp_path / kind
    if kind == "binary":
        write_binary(path)
    else:
        write_text(path, header=kind == "fasttext", packed=kind.endswith("gz"))
    result = read_vectors(path, {"the", "missing"}, limit=10)
    assert {word: row.tolist() for word, row in result.trainable.items()} == {"the": WORDS["the"]}
    expected = [word for word in WORDS if word != "the" and (kind != "binary" or " " not in word)]
    assert list(result.frozen_words) == expected
    assert result.frozen.tolist() == [WORDS[word] for word in expected]
    assert result.size == 2


def test_a_large_binary_file_is_read_across_its_buffers(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(5000, 100)).astype("<f4")
    path = tmp_path / "large.bin"
    path.write_bytes(b"5000 100\n" + b"".join(b"w%d " % n + row.tobytes() for n, row in enumerate(matrix)))
    result = read_vectors(path, {f"w{n}" for n in range(5000)}, limit=0)
    assert np.array_equal(np.stack([result.trainable[f"w{n}"] for n in range(5000)]), matrix)


def test_a_binary_file_may_hold_line_ends_and_letters_in_its_values(tmp_path):
    path = tmp_path / "v.bin"
    path.write_bytes(b"2 2\nthe \nabc" + struct.pack("<f", 0.5) + b"of abcd" + struct.pack("<f", 2.0))
    result = read_vectors(path, {"the", "of"}, limit=0)
    assert {word: row[1] for word, row in result.trainable.items()} == {"the": 0.5, "of": 2.0}


def test_one_form_of_a_word_wins_and_the_limit_applies(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("Apple 1 1\nAPPLE 2 2\napple 3 3\nPear 4 4\npear 5 5\nplum 6 6\nplum 7 7\nfig 8 8\n")
    result = read_vectors(path, {"apple"}, limit=2, normalise=str.lower)
    assert result.trainable["apple"].tolist() == [3, 3]
    assert result.frozen_words == ("pear", "plum")
    assert result.frozen.tolist() == [[5, 5], [6, 6]]
    assert result.duplicates == 1


def test_a_cased_word_takes_the_vector_of_its_lower_case_form(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("leeds 1 1\nbath 2 2\nBath 3 3\n")
    result = read_vectors(path, {"Leeds", "Bath", "York"}, limit=10)
    assert {word: row.tolist() for word, row in result.trainable.items()} == {"Leeds": [1, 1], "Bath": [3, 3]}
    assert result.frozen_words == ("leeds", "bath")


def test_a_byte_order_mark_is_not_part_of_the_first_word(tmp_path):
    path = tmp_path / "v.txt"
    for content in ("the 1 1\nof 2 2\n", "2 2\nthe 1 1\nof 2 2\n"):
        path.write_text(content, encoding="utf-8-sig")
        result = read_vectors(path, {"the"}, limit=10)
        assert result.trainable["the"].tolist() == [1, 1]
        assert result.frozen_words == ("of",)


def test_frozen_vectors_are_clipped_to_half_precision(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("the 1e5 -1e5\nof 1e5 -1e5\n")
    result = read_vectors(path, {"the"}, limit=1)
    assert result.trainable["the"].tolist() == [1e5, -1e5]
    assert result.frozen.tolist() == [[65504, -65504]]


def test_only_repetitions_of_kept_words_are_counted(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("the 1 1\nof 2 2\nto 3 3\nto 4 4\nof 5 5\nthe 6 6\n")
    result = read_vectors(path, {"the"}, limit=1)
    assert result.trainable["the"].tolist() == [1, 1]
    assert result.frozen.tolist() == [[2, 2]]
    assert result.duplicates == 2
    assert read_vectors(path, set(), limit=0).frozen_words == ()


LAYOUTS = {
    "tab, spaces": "new york\t0.5 -1\nana\t2 3e-1\n,\t4 5\n",
    "tabs": "new york\t0.5\t-1\nana\t2\t3e-1\n,\t4\t5\n",
    "tabs, header": "word\td0\td1\nnew york\t0.5\t-1\nana\t2\t3e-1\n,\t4\t5\n",
    "tab, commas": "new york\t0.5,-1\nana\t2,3e-1\n,\t4,5\n",
    "tab, counts": "3 2\nnew york\t0.5 -1\nana\t2 3e-1\n,\t4 5\n",
    "space, commas": "new york 0.5,-1\nana 2,3e-1\n, 4,5\n",
    "space, commas and spaces": "new york 0.5, -1\nana 2, 3e-1\n, 4, 5\n",
    "space, commas, counts": "3 2\nnew york 0.5,-1\nana 2,3e-1\n, 4,5\n",
    "space, semicolons": "new york 0.5;-1\nana 2;3e-1\n, 4;5\n",
    "csv": 'new york,0.5,-1\nana,2,3e-1\n",",4,5\n',
    "csv, bare comma": "new york,0.5,-1\nana,2,3e-1\n,,4,5\n",
    "csv, header": 'word,x,y\r\n"new york",0.5,-1\r\nana,2,3e-1\r\n",",4,5\r\n',
    "csv of pandas": ',0,1\nnew york,0.5,-1\nana,2,3e-1\n",",4,5\n',
    "semicolons": "new york;0.5;-1\nana;2;3e-1\n,;4;5\n",
    "brackets": "new york [0.5, -1]\nana [2, 3e-1]\n, [4, 5]\n",
    "numpy's brackets": "new york [ 0.5 -1. ]\nana [2.  3e-1]\n, [4. 5.]\n",
    "several spaces": "new york  0.5   -1\nana 2  3e-1  \n,   4 5\n",
    "spaces at ends": "2345 0.5 0.5 \nnew york 0.5 -1 \nana 2 3e-1 \n, 4 5 \n",
    "a comma first": ", 4 5\nnew york 0.5 -1\nana 2 3e-1\n",
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("is_packed", [False, True])
def test_other_separators_are_read_or_no_number_is_lost(tmp_path, name, is_packed):
    path, content = tmp_path / "v.txt", LAYOUTS[name].encode()
    path.write_bytes(gzip.compress(content) if is_packed else content)
    result = read_vectors(path, {"ana", ",", "new york"}, limit=0)
    expected = {"new york": [0.5, -1], "ana": [2, 0.3], ",": [4, 5]}
    assert {word: row.tolist() for word, row in result.trainable.items()} == {
        word: pytest.approx(row) for word, row in expected.items()
    }


@given(
    st.lists(st.sampled_from(["a", "é", "-", "...", "b2", "'s", "x-1"]), min_size=1, max_size=3, unique=True),
    st.integers(1, 4),
    st.sampled_from(["\t", " "]),
    st.sampled_from(["\t", " ", ",", ";", ", "]),
)
def test_a_layout_round_trips_or_is_rejected(tmp_path_factory, words, size, after, between):
    values = [[number + index / 4 for index in range(size)] for number in range(len(words))]
    rows = [f"{w}{after}{between.join(map(str, row))}\n" for w, row in zip(words, values, strict=True)]
    path = tmp_path_factory.mktemp("layout") / "v.txt"
    path.write_text("".join(rows))
    if (after, between) == (" ", "\t") and size > 1:  # the word would end at the first tab
        with pytest.raises(InputError, match="not clear where the word ends") as caught:
            read_vectors(path, set(words), limit=10)
        assert (caught.value.code, caught.value.file, caught.value.line) == ("vectors.format", str(path), 1)
        return
    result = {word: row.tolist() for word, row in read_vectors(path, set(words), limit=10).trainable.items()}
    assert result == dict(zip(words, values, strict=True))


@pytest.mark.parametrize(
    ("content", "line", "fragment"),
    [
        ("", None, "empty"),
        ("3 2\na 1 2\nb 1 2\n", None, "3 vectors, but 2 follow"),
        ("1 2\na 1 2\nb 1 2\n", None, "1 vectors, but 2 follow"),
        ("9 999999\na 1 2\n", 1, "count or size"),
        ("2 2\na 1\nb 1 2\n", 2, "2 values, as the first line says"),
        ("2 3\né 1 x 2\nb 1 2 ñ\n", 2, "3 values, as the first line says"),
        ("2 2\n", 2, "2 values, as the first line says"),
        ("a 1 2\nb 1\n", 2, "2 values, got 1 values"),
        ("a 1 2\nb 1 2 3\n", 2, "2 values, got 3 values"),
        ("a 1 2\nb 1 nan\n", 2, "not a finite number"),
        ("a 1 2\nb 1 x\n", 2, "not a finite number"),
        ("a 1 2\nb 1 1_0\n", 2, "not a finite number"),
        ("a 1 2\nb 1 \x1e42\n", 2, "not a finite number"),
        ("a,1.5,2\nb,1\n", 2, "separated as in the first row"),
        ("word\n", 1, "a word and its values"),
    ],
)
def test_errors_name_the_malformed_row(tmp_path, content, line, fragment):
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_vectors(path, {"a"}, limit=10)
    assert (caught.value.code, caught.value.file, caught.value.line) == ("vectors.format", str(path), line)
    assert fragment in caught.value.message


def test_missing_and_truncated_vectors_are_errors(tmp_path):
    with pytest.raises(InputError) as caught:
        read_vectors(tmp_path / "none.txt", set(), limit=1)
    assert (caught.value.code, caught.value.file) == ("file.unreadable", str(tmp_path / "none.txt"))
    path = write_binary(tmp_path / "cut.bin")
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(InputError, match="ends within vector 3 of 3") as caught:
        read_vectors(path, {"the"}, limit=10)
    assert (caught.value.code, caught.value.file) == ("vectors.format", str(path))


TOKENS = st.lists(st.sampled_from(["the", "Leeds", "1996", "Bath", "a-b"]), min_size=1, max_size=6)


@given(st.lists(TOKENS, min_size=1, max_size=5))
def test_a_batch_holds_each_token_at_its_position(sentences):
    vocabulary, _ = small_vocabulary()
    table = WordTable(vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in sentences])
    assert batch.words[0] == 0
    assert len(batch.words) == 1 + len({token for tokens in sentences for token in tokens})
    for row, tokens in enumerate(sentences):
        assert batch.lengths[row] == len(tokens)
        for index, token in enumerate(tokens):
            number = batch.positions[row, index]
            assert batch.words[number] == vocabulary.word_id(token)
            assert batch.casing[number] == casing_id(token)
            length = batch.word_lengths[number]
            assert batch.characters[number, :length].tolist() == vocabulary.word_characters(token)
        assert (batch.positions[row, len(tokens) :] == 0).all()
        assert batch.mask[row].sum() == len(tokens)


LENGTHS = st.lists(st.integers(1, 40), max_size=60)


@given(LENGTHS, st.integers(1, 8), st.integers(1, 100), st.integers(0, 3))
def test_batches_hold_every_sentence_and_respect_their_limits(lengths, batch_size, batch_tokens, seed):
    for batches in (
        list(group_by_length(lengths, batch_size, batch_tokens)),
        shuffled_batches(lengths, batch_size, batch_tokens, np.random.default_rng(seed)),
    ):
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) <= batch_size
            longest = max(lengths[index] for index in batch)
            assert len(batch) == 1 or longest * len(batch) <= batch_tokens


@pytest.mark.parametrize("count", [40, 100, 400, 1_000, 5_000])
def test_epochs_rarely_share_a_batch_and_padding_is_low(count):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 50, count).tolist()
    passes = [{tuple(sorted(one)) for one in shuffled_batches(lengths, 10, 4096, generator)} for _ in "ab"]
    assert len(passes[0] & passes[1]) <= len(passes[0]) // 20
    # Sorting a quarter of the sentences by length pads less than a random order.
    padded = [sum(len(b) * max(lengths[p] for p in b) for b in batches) for batches in passes]
    by_chance = generator.permutation(count).reshape(-1, 10)
    assert max(padded) < sum(10 * max(lengths[p] for p in b) for b in by_chance)
