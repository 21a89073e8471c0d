"""Alignment of text spans with tokens, against a search over all characters; and documents."""

from dataclasses import replace
from itertools import pairwise

import pytest
from annotated_texts import annotated_texts, sentences
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

from tagger.corpus.placement import TextSpan, attach_spans, documents, place_spans
from tagger.corpus.reading import Reading
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import Span, from_tokens
from tagger.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer()


def place(text, *spans, mode="error", **tasks):
    """Align spans (start, end, label). Return the sentences, the errors and the warnings."""
    errors, warnings = [], []
    reading = Reading(on_misaligned=mode, on_error=errors.append, warn=warnings.append)
    result = {
        task: [TextSpan(*span, where="f:1") for span in its] for task, its in {"ner": spans, **tasks}.items()
    }
    return place_spans(text, result, reading, "f:1"), errors, warnings


def characters(result, task="ner"):
    return [(span.start_char, span.end_char, span.label) for one in result for span in one.spans[task]]


def search(text, spans, mode):
    """Return the expected spans (start, end, label) in characters, by a search over every character."""
    offsets = [offset for sentence in TOKENIZER.tokenize(text) for offset in sentence.offsets]
    candidates = []
    for span in spans:
        inside = set(range(span.start, span.end))
        covered = [offset for offset in offsets if inside & set(range(*offset))]
        if inside <= set(range(len(text))) and covered:
            whole = (covered[0][0], covered[-1][1])
            words = [offset for offset in covered if set(range(*offset)) <= inside]
            trimmed = text[span.start : span.end].strip()
            if (
                whole == (span.start, span.end)
                or mode == "expand"
                or (words == covered and trimmed == text[slice(*whole)].strip())
            ):
                candidates.append((*whole, span.label))
            elif words and mode == "trim":
                candidates.append((words[0][0], words[-1][1], span.label))
    kept = []
    while candidates:
        best = min(candidates, key=lambda one: (one[0], one[0] - one[1]))
        kept.append(best)
        candidates = [one for one in candidates if one[0] >= best[1] or one[1] <= best[0]]
    return kept


@pytest.mark.slow
@given(annotated_texts(), st.sampled_from(["error", "expand", "trim", "skip"]))
def test_alignment_matches_a_search_over_all_characters(annotated, mode):
    text, spans = annotated
    result, errors, warnings = place(text, *((s.start, s.end, s.label) for s in spans), mode=mode)
    assert characters(result) == search(text, spans, mode)
    for sentence in result:
        assert list(sentence.spans["ner"]) == [
            replace(
                span, start_char=sentence.offsets[span.start][0], end_char=sentence.offsets[span.end - 1][1]
            )
            for span in tags_to_spans(sentence.tags["ner"], "IOB2", mode="strict")
        ]
    assert not ([one for one in warnings if "trimmed" not in one] if mode == "error" else errors)


@pytest.mark.slow
@given(annotated_texts(), st.sampled_from(["error", "expand", "trim", "skip"]))
def test_every_lost_span_is_reported(annotated, mode):
    text, spans = annotated
    result, errors, warnings = place(text, *((s.start, s.end, s.label) for s in spans), mode=mode)
    kept = characters(result)
    for span in spans:
        as_given = (span.start, span.end, span.label)
        reports = [
            one
            for one in [*map(str, errors), *warnings]
            if f"[{span.start}, {span.end}) " in one and span.label in one
        ]
        assert len(reports) + kept.count(as_given) >= spans.count(span)
    left_out = len(spans) - len(kept)
    changed = ("expanded", "trimmed")
    assert len(errors) + sum(not any(word in one for word in changed) for one in warnings) == left_out


@pytest.mark.slow
@given(annotated_texts())
def test_every_token_is_kept_and_the_text_can_be_reassembled(annotated):
    text, spans = annotated
    result, _, _ = place(text, *((s.start, s.end, s.label) for s in spans), mode="expand")
    tokens = [offset for sentence in TOKENIZER.tokenize(text) for offset in sentence.offsets]
    assert [offset for sentence in result for offset in sentence.offsets] == tokens
    together = "".join(sentence.text_before + sentence.text for sentence in result)
    assert text.startswith(together)
    assert not TOKENIZER.tokenize(text[len(together) :])
    for sentence in result:
        assert text[sentence.text_start :].startswith(sentence.text)
    assert [place for place, sentence in enumerate(result) if sentence.starts_document] == [0][: len(result)]


def test_a_span_joins_the_sentences_that_it_crosses():
    text = " Ada sang. Otto left.  Mia stayed. The end."
    assert len(place(text)[0]) == 4
    result, errors, warnings = place(text, (11, 34, "TALE"))
    assert [sentence.text for sentence in result] == ["Ada sang.", "Otto left.  Mia stayed.", "The end."]
    assert result[1].tags["ner"] == ("B-TALE",) + 5 * ("I-TALE",)
    assert [sentence.text_before for sentence in result] == [" ", " ", " "]
    assert {sentence.source for sentence in result} == {"f:1"}
    assert (errors, warnings) == ([], [])


def test_tasks_are_aligned_independently():
    result, errors, _ = place("Ada sang. Otto left.", (0, 3, "PER"), chunk=[(0, 8, "S"), (4, 14, "X")])
    assert len(errors) == 1
    assert result[0].tags == {"ner": ("B-PER", "O", "O"), "chunk": ("B-S", "I-S", "O")}
    assert result[1].tags["ner"] == ("O", "O", "O")


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((1, 3), "f:1: the span [1, 3) 'da' (PER) is not aligned with its tokens, [0, 3) 'Ada'"),
        ((3, 7), "f:1: the span [3, 7) ' san' (PER) is not aligned with its tokens, [4, 8) 'sang'"),
        ((4, 4), "f:1: the span [4, 4) '' (PER) is empty"),
        ((8, 4), "f:1: the span [8, 4) '' (PER) is empty"),
        ((3, 4), "f:1: the span [3, 4) ' ' (PER) covers no token"),
        ((4, 10), "f:1: the span [4, 10) 'sang.' (PER) exceeds the text, which is [0, 9)"),
        ((-1, 3), "f:1: the span [-1, 3) 'Ada' (PER) exceeds the text, which is [0, 9)"),
    ],
)
def test_a_misaligned_or_invalid_span(span, message):
    text = "Ada sang."
    with raises("corpus.offsets", file="f", line=1, option="--on-misaligned", mentions=message):
        place_spans(text, {"ner": [TextSpan(*span, "PER", where="f:1")]}, Reading(), "f:1")
    result, errors, warnings = place(text, (*span, "PER"), mode="skip")
    assert (characters(result), errors, warnings) == ([], [], [message + "; it was skipped."])


@pytest.mark.parametrize("mode", ["error", "expand", "trim", "skip"])
def test_white_space_at_the_ends_of_a_span_is_trimmed(mode):
    text = "A play (1994)  shows\u00a0Ana Silva\n as a queen."
    result, errors, warnings = place(text, (20, 32, "PER"), (8, 12, "DATE"), (12, 15, "X"), mode=mode)
    assert characters(result) == [(8, 12, "DATE"), (12, 13, "X"), (21, 30, "PER")]
    assert errors == []
    assert warnings == [
        "f:1: the span [20, 32) '\\xa0Ana Silva\\n ' (PER) was trimmed of white space to [21, 30) "
        "'Ana Silva'.",
        "f:1: the span [12, 15) ')  ' (X) was trimmed of white space to [12, 13) ')'.",
    ]


def test_a_span_is_trimmed_to_the_whole_tokens_inside():
    result, errors, warnings = place("Ada sang in Oslo.", (1, 11, "X"), (13, 15, "LOC"), mode="trim")
    assert (characters(result), errors) == ([(4, 11, "X")], [])
    assert warnings == [
        "f:1: the span [1, 11) 'da sang in' (X) was trimmed to the tokens [4, 11) 'sang in'.",
        "f:1: the span [13, 15) 'sl' (LOC) is not aligned with its tokens, [12, 16) 'Oslo'; it was skipped.",
    ]


def test_spans_that_overlap():
    text = "Ada sang in Oslo."
    spans = [(4, 11, "X"), (0, 3, "PER"), (0, 8, "S"), (0, 8, "S"), (12, 16, "LOC")]
    result, errors, _ = place(text, *spans)
    assert characters(result) == [(0, 8, "S"), (12, 16, "LOC")]
    assert [str(one).partition(". ")[0] for one in errors] == [
        "f:1: the span [0, 8) 'Ada sang' (S) is repeated",
        "f:1: the span [0, 3) 'Ada' (PER) overlaps the span [0, 8) 'Ada sang' (S)",
        "f:1: the span [4, 11) 'sang in' (X) overlaps the span [0, 8) 'Ada sang' (S)",
    ]


def test_spans_that_overlap_after_expansion():
    result, _, warnings = place("Google-Mozilla", (0, 6, "ORG"), (7, 14, "ORG"), mode="expand")
    assert characters(result) == [(0, 14, "ORG")]
    assert warnings[-1] == (
        "f:1: the span [7, 14) 'Mozilla' (ORG) overlaps the span [0, 6) 'Google' (ORG); it was skipped."
    )


def test_given_tokens_keep_their_tags():
    sentence = replace(from_tokens(["Ada", "sang"]), tags={"ner": ("S-PER", "O")})
    spans = {"ner": [TextSpan(0, 3, "PER")], "chunk": [TextSpan(0, 8, "S", 0.5)]}
    (result,) = attach_spans([sentence], sentence.text, spans, Reading())
    assert result.tags == {"ner": ("S-PER", "O"), "chunk": ("B-S", "I-S")}
    assert result.spans["chunk"] == (Span(0, 2, "S", 0.5, 0, 8),)


def test_a_long_span_is_abbreviated_in_messages():
    text = "Ada " * 100
    (error,) = place(text, (1, 300, "PER"))[1]
    assert len(str(error)) < 400
    assert "…" in str(error)


# Documents


@pytest.mark.slow
@given(sentences())
def test_a_document_has_the_text_and_the_spans_of_its_sentences(result):
    starts = [place for place, one in enumerate(result) if one.starts_document] + [len(result)]
    groups = [result[first:last] for first, last in pairwise(starts)]
    whole = list(documents(result, ["ner"]))
    assert [one.text for one in whole] == ["".join(s.text_before + s.text for s in group) for group in groups]
    assert [[(s.start, s.end, s.label) for s in one.spans["ner"]] for one in whole] == list(
        map(characters, groups)
    )
    single = list(documents(result, ["ner"], "sentence"))
    assert [one.text for one in single] == [sentence.text for sentence in result]
    words = [one.text[span.start : span.end] for one in single for span in one.spans["ner"]]
    assert words == [one.text[span.start : span.end] for one in whole for span in one.spans["ner"]]


def test_sentences_without_preceding_text_begin_on_a_new_line():
    one, other = from_tokens(["Ada", "sang"]), from_tokens(["Otto", "left"])
    other = replace(other, spans={"ner": (Span(0, 1, "PER"),)})
    (document,) = documents([replace(one, spans={"ner": ()}), other], ["ner"])
    assert document.text == "Ada sang\nOtto left"
    assert [(span.start, span.end) for span in document.spans["ner"]] == [(9, 13)]


def test_a_document_that_begins_in_the_middle_of_a_text():
    sentence = place("Ada sang. Otto left.", (10, 14, "PER"))[0][1]
    (document,) = documents([replace(sentence, text_before="")], ["ner"])
    assert (document.text, document.spans["ner"][0].start) == ("Otto left.", 0)


def test_documents_require_spans():
    with raises("corpus.output", mentions="'pos'"):
        list(documents([replace(from_tokens(["Ada"]), tags={"pos": ("N",)})], ["pos"]))
