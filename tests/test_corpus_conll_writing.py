"""Writing of CoNLL columns, and the round trip of any sentences."""

import io
from dataclasses import replace

import pytest
from corpus_builders import written
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

from tagger.corpus.conll import read_conll, write_conll
from tagger.text.sentence import Sentence, from_tokens


def test_written_columns():
    sentences = [
        replace(from_tokens(["Ada"]).with_tags({"ner": ["B-PER"]}), starts_document=True),
        replace(from_tokens(["sings", "!"]), comments=("# sent_id = 2", "# loud")),
    ]
    assert written(sentences, columns=("pos", "ner")) == (
        "-DOCSTART- -X- O\n\nAda _ B-PER\n\n# sent_id = 2\n# loud\nsings _ _\n! _ _\n\n"
    )
    assert "# comment = loud\nsings\t_\n" in written(
        [replace(sentences[1], comments=("#\tloud",))], columns=("ner",), separator="\t"
    )


@pytest.mark.parametrize(
    "tokens",
    [["New York"], [""], ["a\nb"], ["-DOCSTART-"], ["# sent_id = 3"], ["a", "b\tc"]],
)
def test_tokens_that_columns_cannot_represent(tokens):
    with raises("corpus.output"):
        written([from_tokens(tokens)], columns=("ner",))


def test_an_empty_token_without_tags_is_an_error():
    with raises("corpus.output"):
        write_conll([from_tokens(["a", "", "b"])], io.StringIO(), columns=[])


CHARACTERS = st.sampled_from("abÉ#-=.O_\u00a0\u0085\u2028\x0c\u3000\u200b漢😀")


TOKENS = st.one_of(
    st.sampled_from(["#", "#a", "-DOCSTART-", "O"]), st.text(CHARACTERS, min_size=1, max_size=4)
)


FIRST_TOKENS = TOKENS.filter(lambda token: token != "-DOCSTART-")


COMMENTS = st.sampled_from(["# sent_id = 1", "# a note of many words", "# newpar", "# text = a b"])


@st.composite
def column_sentences(draw):
    """Draw sentences with the tags pos and ner as a reader returns them, except text and source."""
    sentences = []
    for place in range(draw(st.integers(1, 4))):
        rest = draw(st.lists(TOKENS.filter(lambda token: token != "-DOCSTART-"), max_size=3))
        tokens = (draw(FIRST_TOKENS), *rest)
        tags = st.lists(st.sampled_from(["O", "B-PER", "#", "_"]), min_size=len(tokens), max_size=len(tokens))
        starts_document = place == 0 or draw(st.booleans())
        comments = draw(st.lists(COMMENTS, max_size=2))
        if starts_document and draw(st.booleans()):
            comments.append("# newdoc id = x")
        sentences.append(
            Sentence(
                tokens=tokens,
                offsets=(),
                text="",
                tags={name: tuple(draw(tags)) for name in ("pos", "ner")},
                starts_document=starts_document,
                comments=tuple(comments),
            )
        )
    return sentences


def without_source(sentences):
    return [replace(sentence, source="") for sentence in sentences]


@pytest.mark.slow
@given(column_sentences(), st.sampled_from([" ", "\t"]))
def test_columns_round_trip(folder, sentences, separator):
    def there_and_back(values):
        path = folder / "round_trip.conll"
        with path.open("w", encoding="utf-8", newline="") as file:
            write_conll(values, file, columns=("pos", "ner"), separator=separator)
        return without_source(read_conll(path, columns="token,pos,ner"))

    once = there_and_back(sentences)
    assert [replace(one, offsets=(), text="") for one in once] == sentences
    assert there_and_back(once) == once
    for sentence in once:
        assert [sentence.text[start:end] for start, end in sentence.offsets] == list(sentence.tokens)
