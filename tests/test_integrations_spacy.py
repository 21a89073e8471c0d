"""``bilstm_crf``: annotations, batches, processes, saved pipelines, and spaCy's own tools."""

import sys
from importlib import import_module

import pytest
from bundles import is_same, make_bundle
from input_errors import check, raises

from tagger import Tagger
from tagger.bundle import save_bundle
from tagger.errors import InputError
from tagger.included import included_models
from tagger.text.tokenizer import Tokenizer

pytest.importorskip("spacy", reason="spaCy is not installed")

import spacy
import srsly
from spacy import displacy
from spacy.tokens import Doc, Span
from spacy.training import Example, offsets_to_biluo_tags

from tagger.integrations.spacy_component import BiLSTMCRF, is_universal

TEXTS = [
    "Mira met Tom in New Ayr.\n\nAyr lost 2-0. Rain fell on Mira Lang and her dog.",
    "",
    "  \n ",
    "Tom in Glasgow\nmet  Mira Lang.",
    "Ayr",
] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    save_bundle(make_bundle(context="document")[1], path)
    return path


def make(folder, **config):
    nlp = spacy.blank("en")
    nlp.add_pipe("bilstm_crf", config={"model": str(folder), **config})
    return nlp


@pytest.fixture(scope="module")
def nlp(folder):
    return make(folder)


def annotations(doc):
    """All that the component sets."""
    return (
        [(ent.start, ent.end, ent.label_, ent._.score) for ent in doc.ents],
        [(span.start, span.end, span.label_) for span in doc.spans["ner"]],
        doc.spans["ner"].attrs["scores"],
        [(token.pos_, token.tag_) for token in doc],
    )


def close(actual, expected):
    """Compare annotations; scores depend on the batch in the last digits."""
    for one, other in zip(actual, expected, strict=True):
        assert one[1] == other[1]
        assert one[3] == other[3]
        assert [ent[:3] for ent in one[0]] == [ent[:3] for ent in other[0]]
        assert one[2] == pytest.approx(other[2], abs=1e-5)
    assert any(one[0] for one in actual)


class OurTokenizer:
    """Split texts for spaCy into our tokens."""

    def __init__(self, vocab):
        self.vocab = vocab

    def __call__(self, text):
        sentences = Tokenizer().tokenize(text)
        offsets = [offset for sentence in sentences for offset in sentence.offsets]
        words, at = [], 0
        for start, end in offsets:
            if text[at:start].removeprefix(" "):
                words.append(text[at:start].removeprefix(" "))
            words.append(text[start:end])
            at = end
        return Doc(self.vocab, *spacy.util.get_words_and_spaces(words, text))


def test_spans_scores_and_tags_are_those_of_the_tagger(folder):
    nlp = make(folder)
    nlp.tokenizer = OurTokenizer(nlp.vocab)
    tagger = Tagger.load(folder)
    for text in TEXTS:
        doc, sentences = nlp(text), tagger.tag(text)
        assert doc.text == text
        spans = [span for sentence in sentences for span in sentence.spans["ner"]]
        expected = [(span.start_char, span.end_char, span.label) for span in spans]
        assert [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] == expected
        assert [(span.start_char, span.end_char, span.label_) for span in doc.spans["ner"]] == expected
        scores = [span.score for span in spans]
        assert [ent._.score for ent in doc.ents] == pytest.approx(scores, abs=1e-5)
        assert doc.spans["ner"].attrs["scores"] == pytest.approx(scores, abs=1e-5)
        tags = [tag for sentence in sentences for tag in sentence.tags["pos"]]
        assert [token.tag_ for token in doc if not token.is_space] == tags
        assert {token.tag_ for token in doc if token.is_space} <= {"_SP"}


def test_sentences_are_those_of_the_document_if_it_has_them(folder):
    nlp = make(folder)
    nlp.add_pipe("sentencizer", first=True)
    doc = nlp(TEXTS[0])
    tokens = [[token.text for token in one if not token.is_space] for one in doc.sents]
    tagged = Tagger.load(folder).tag_tokens(tokens, is_document=True)
    expected = [
        (sentence.tokens[span.start : span.end], span.label)
        for sentence in tagged
        for span in sentence.spans["ner"]
    ]
    found = [(tuple(token.text for token in ent if not token.is_space), ent.label_) for ent in doc.ents]
    assert found == expected


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_pipe_equals_single_calls(nlp, batch_size):
    close(
        [annotations(doc) for doc in nlp.pipe(TEXTS, batch_size=batch_size)],
        [annotations(nlp(text)) for text in TEXTS],
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_two_processes_equal_one(nlp):
    docs = list(nlp.pipe(TEXTS, batch_size=3, n_process=2))
    assert [doc.text for doc in docs] == TEXTS
    close([annotations(doc) for doc in docs], [annotations(nlp(text)) for text in TEXTS])


@pytest.mark.parametrize("overwrite", [False, True])
def test_earlier_entities_and_tags_are_overwritten_on_request(folder, overwrite):
    nlp = make(folder, overwrite=overwrite)
    free = nlp(TEXTS[0])
    own = free.ents[0]
    doc = nlp.make_doc(TEXTS[0])
    doc.ents = [Span(doc, max(own.start - 1, 0), own.end, "EARLIER")]
    doc[0].tag_ = "EARLIER"
    earlier = [(ent.start, ent.end) for ent in doc.ents]
    for _, component in nlp.pipeline:
        component(doc)
    labels = {ent.label_ for ent in doc.ents}
    assert ("EARLIER" in labels) is not overwrite
    assert (doc[0].tag_ == "EARLIER") is not overwrite
    covered = {index for start, end in earlier for index in range(start, end)}
    model = [(ent.start, ent.end, ent.label_) for ent in free.ents]
    kept = [one for one in model if overwrite or covered.isdisjoint(range(one[0], one[1]))]
    assert [one[:3] for one in annotations(doc)[0] if one[2] != "EARLIER"] == kept
    assert annotations(doc)[1] == model


def test_tags_of_universal_dependencies_are_parts_of_speech():
    if "en" not in included_models():
        pytest.skip("there is no English model in the package")
    tagged = make("en")("She works in  Berlin.")
    assert [token.pos_ for token in tagged] == ["PRON", "VERB", "ADP", "SPACE", "PROPN", "PUNCT"]
    assert {token.tag_ for token in tagged} == {""}


def test_saved_pipelines_hold_the_whole_model(folder, tmp_path):
    source = tmp_path / "moved"
    save_bundle(make_bundle(seed=5)[1], source)
    nlp = make(source, min_score=0.1)
    expected = annotations(nlp(TEXTS[0]))
    nlp.to_disk(tmp_path / "pipeline")
    content = nlp.to_bytes()
    for path in source.iterdir():
        path.unlink()
    source.rmdir()
    restored = spacy.load(tmp_path / "pipeline")
    from_bytes = make(folder).from_bytes(content)
    bundle = nlp.get_pipe("bilstm_crf").tagger.bundle
    for other in (restored, from_bytes):
        assert is_same(other.get_pipe("bilstm_crf").tagger.bundle, bundle)
    assert annotations(restored(TEXTS[0])) == expected
    assert restored.config["components"]["bilstm_crf"] == nlp.config["components"]["bilstm_crf"]
    assert is_same(Tagger.load(tmp_path / "pipeline" / "bilstm_crf").bundle, bundle)


def test_bytes_and_the_folder_of_a_restored_model(folder, nlp):
    component = nlp.get_pipe("bilstm_crf")
    other = make(folder).get_pipe("bilstm_crf").from_bytes(component.to_bytes())
    assert other.to_bytes() == component.to_bytes()
    for data in (b"", b"x", srsly.msgpack_dumps([1]), srsly.msgpack_dumps({"../x": b"1"})):
        with raises("bundle.damaged", mentions="to_bytes"):
            component.from_bytes(data)


def test_the_config_rebuilds_the_pipeline(nlp):
    rebuilt = spacy.util.load_model_from_config(nlp.config, auto_fill=False)
    assert rebuilt.config == nlp.config
    assert rebuilt.pipe_labels == nlp.pipe_labels
    assert annotations(rebuilt(TEXTS[0])) == annotations(nlp(TEXTS[0]))


def test_evaluate_scores_entities_and_tags(folder):
    nlp = make(folder, min_score=0.2)
    gold_nlp = make(folder)
    gold = [gold_nlp(text) for text in TEXTS if text.strip()]
    scores = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in gold])
    n_gold = sum(len(doc.ents) for doc in gold)
    n_found = sum(len(nlp(doc.text).ents) for doc in gold)  # the gold spans with a score of at least 0.2
    assert 0 < n_found < n_gold
    assert (scores["ents_p"], scores["ents_r"]) == pytest.approx((1.0, n_found / n_gold))
    assert 0.9 < scores["tag_acc"] <= 1  # gold tokens of white space count as missed
    assert "pos_acc" not in scores


def test_displacy_draws_entities_and_span_groups(nlp):
    doc = nlp(TEXTS[0])
    drawn = displacy.render(doc, style="ent", jupyter=False)
    assert all(ent.label_ in drawn for ent in doc.ents)
    assert displacy.render(doc, style="span", options={"spans_key": "ner"}, jupyter=False)


def test_a_tagged_document_survives_bytes(nlp):
    doc = nlp(TEXTS[0])
    copied = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert annotations(copied) == annotations(doc)
    entities = [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
    assert "-" not in offsets_to_biluo_tags(copied, entities)


@pytest.mark.slow
def test_a_megabyte_without_sentence_ends(nlp):
    nlp.max_length = 2_000_000
    doc = nlp("Mira met Tom " * 80_000)
    assert len(doc.text) > 1_000_000
    assert doc.ents


def test_an_extension_of_the_user_is_kept(folder):
    before = Span.get_extension("score")
    Span.set_extension("score", default="mine", force=True)
    try:
        doc = make(folder)(TEXTS[0])
        assert Span.get_extension("score")[0] == "mine"
        assert doc.ents[0]._.score == doc.spans["ner"].attrs["scores"][0]
        Span.set_extension("score", getter=len, force=True)
        doc = make(folder)(TEXTS[0])
        assert doc.ents[0]._.score == len(doc.ents[0])
    finally:
        Span.set_extension("score", default=before[0], force=True)


def test_errors_reach_the_caller_or_the_error_handler(folder):
    with raises("bundle.missing"):
        make(folder / "none")("Mira")
    with raises("corpus.task"):
        make(folder, task="chunk")("Mira")
    nlp, seen = make(folder, min_score={"NONE": 0.5}), []
    nlp.set_error_handler(lambda name, component, docs, error: seen.append((name, len(docs), error)))
    assert list(nlp.pipe(["Mira", "Tom"], batch_size=2)) == []
    assert seen[0][:2] == ("bilstm_crf", 2)
    check(seen[0][2], "corpus.labels", option="min_score", mentions="NONE")


def test_the_factory_is_found_and_tells_tag_sets_apart():
    assert spacy.util.registry.has("factories", "bilstm_crf")
    assert not any(is_universal(task) for task in Tagger(make_bundle()[1]).tasks)
    assert issubclass(BiLSTMCRF, spacy.pipeline.Pipe)


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "tagger.integrations.spacy_component")
    monkeypatch.setitem(sys.modules, "spacy.language", None)
    with pytest.raises(InputError) as error:
        import_module("tagger.integrations.spacy_component")
    check(error.value, "package.missing", mentions="spacy")
