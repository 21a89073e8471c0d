"""Compare bounded lookahead with whole and truncated sentences; words beyond it have no influence."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from bundles import make_bundle, random_sentences
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger import StreamingTagger, Tagger
from tagger.bundle import save_bundle
from tagger.decoding.fixed_lag import decode_window
from tagger.errors import InputError
from tagger.features.batching import WordTable
from tagger.runtime.stream import WindowEncoder, tag_with_lookahead
from tagger.text.schemes import convert_tags, violations
from tagger.text.sentence import from_tokens

DIRECTIONS = ("forward", "backward", "bidirectional")
VARIANTS = [
    {"direction": direction, "merge_mode": mode, "head": head, "layers": layers, "characters": characters}
    for (direction, mode), (head, layers, characters) in zip(
        itertools.product(DIRECTIONS, ("concat", "sum", "mul", "ave")),
        itertools.cycle(
            [
                ("crf", 1, "cnn"),
                ("softmax", 2, "lstm"),
                ("crf", 3, "none"),
                ("crf", 2, "cnn"),
                ("softmax", 1, "cnn"),
            ]
        ),
        strict=False,
    )
]
TOKENS = ["Mira", "met", "Glasgow", "unseen-WORD", "3", "Ayr", "Tom", "lost", "Rain"]


def make_tagger(seed=0, *, written="IOB2", **model):
    return Tagger(make_bundle(seed, **{"context": "sentence", **model})[1], scheme=written)


def whole_emissions(tagger, tokens):
    """Return each task's emissions (T, C) for a whole sentence."""
    table = WordTable(tagger.bundle.vocabulary)
    return tagger.engine.emissions(table.batch([table.rows(tokens)]))


def window_emissions(tagger, tokens, lookahead):
    """Return each task's emissions (W, C) for all windows; the last one is that at the end."""
    table = WordTable(tagger.bundle.vocabulary)
    batch = table.batch([table.rows(tokens)])
    vectors = tagger.engine.words.vectors(batch)
    encoder, windows = WindowEncoder(tagger.engine, 1), []

    def encode() -> None:
        scores = tagger.engine.score(encoder.encode())
        windows.append({task: found[0] for task, found in scores.items()})

    for row in batch.positions[0]:
        encoder.append([lstm.project(vectors[row : row + 1]) for lstm in tagger.engine.lstms[0]])
        if len(encoder) > lookahead:
            encode()
    if len(encoder):
        encode()
    return windows


def streamed(tagger, tokens, lookahead):
    """Return each task's tags for words that are pushed one by one."""
    streaming = StreamingTagger(tagger, lookahead=lookahead)
    found = list(streaming.tag(tokens))
    assert [one.token for one in found] == list(tokens)
    return {task.name: [one.tags[task.name] for one in found] for task in tagger.tasks}


@pytest.mark.parametrize("model", VARIANTS, ids=lambda model: "-".join(map(str, model.values())))
@pytest.mark.parametrize("scheme", ["BIOES", "IOB2"])
def test_an_unlimited_lookahead_gives_the_tags_of_the_sentence(model, scheme):
    tagger = make_tagger(**model, scheme=scheme)
    sentences = random_sentences(tagger.bundle.vocabulary)
    for tokens, expected in zip(sentences, tagger.tag_tokens(sentences), strict=True):
        for lookahead in (len(tokens), len(tokens) + 5, 10**9):
            found = streamed(tagger, tokens, lookahead)
            assert found == {task: list(tags) for task, tags in expected.tags.items()}
        (window,) = window_emissions(tagger, tokens, len(tokens))
        for task, emissions in whole_emissions(tagger, tokens).items():
            np.testing.assert_allclose(window[task], emissions, atol=1e-4)


def test_streams_do_not_use_the_linear_part():
    _, bundle = make_bundle(context="sentence", linear=True)
    tensors = {name: one * (not name.startswith("linear.")) for name, one in bundle.tensors.items()}
    tagger, plain = Tagger(bundle), Tagger(replace(bundle, tensors=tensors))
    sentences = random_sentences(bundle.vocabulary)
    assert tagger.tag_tokens(sentences) != plain.tag_tokens(sentences)
    for tokens, expected in zip(sentences, plain.tag_tokens(sentences), strict=True):
        assert streamed(tagger, tokens, 99) == {task: list(tags) for task, tags in expected.tags.items()}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_emissions_of_a_forward_model_do_not_depend_on_the_lookahead(lookahead, layers):
    tagger = make_tagger(direction="forward", layers=layers)
    expected = whole_emissions(tagger, TOKENS)
    for first, window in enumerate(window_emissions(tagger, TOKENS, lookahead)):
        for task, emissions in window.items():
            part_of_sentence = expected[task][first : first + lookahead + 1]
            np.testing.assert_allclose(emissions, part_of_sentence, atol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("lookahead", [0, 1, 2, 4])
def test_one_layer_gives_the_emissions_of_a_sentence_truncated_after_the_lookahead(lookahead, direction):
    tagger = make_tagger(direction=direction)
    windows = window_emissions(tagger, TOKENS, lookahead)
    for first, window in enumerate(windows[: len(TOKENS) - lookahead]):
        cut = whole_emissions(tagger, TOKENS[: first + lookahead + 1])
        for task, emissions in window.items():
            np.testing.assert_allclose(emissions, cut[task][first:], atol=1e-4)


def test_upper_layers_read_the_outputs_known_when_each_word_was_tagged():
    """Two layers by hand: outputs of tagged words are final, those of the window are recomputed."""
    tagger, lookahead = make_tagger(layers=2), 2
    table, engine = WordTable(tagger.bundle.vocabulary), tagger.engine
    batch = table.batch([table.rows(TOKENS)])
    vectors, decided = engine.words.vectors(batch), []
    for first, window in enumerate(window_emissions(tagger, TOKENS, lookahead)[: len(TOKENS) - lookahead]):
        known = vectors[batch.positions[0, : first + lookahead + 1]]
        below = read_both(engine.lstms[0], known)
        inputs = np.concatenate([*decided, below[first:]])
        above = read_both(engine.lstms[1], inputs)
        decided.append(below[first : first + 1])
        for task, emissions in engine.score(above[first:]).items():
            np.testing.assert_allclose(window[task], emissions, atol=1e-4)


def read_both(layer, inputs):
    """Map inputs (T, D) to the outputs (T, 2H) of both directions of one layer."""
    results = []
    for lstm, order in zip(layer, (1, -1), strict=True):
        state, cell = np.zeros((2, 1, len(lstm.hidden_weights)), np.float32)
        outputs = []
        for projected in lstm.project(inputs)[::order]:
            lstm.step(projected[None], state, cell)
            outputs.append(state[0].copy())
        results.append(np.stack(outputs)[::order])
    return np.concatenate(results, axis=1)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("lookahead", [0, 1, 2, 3])
def test_words_beyond_the_lookahead_have_no_influence(lookahead, layers, direction):
    tagger = make_tagger(direction=direction, layers=layers)
    before = window_emissions(tagger, TOKENS, lookahead)
    tags = streamed(tagger, TOKENS, lookahead)
    for changed in range(1, len(TOKENS)):
        tokens = [*TOKENS[:changed], "river", *TOKENS[changed + 1 :]]
        unseen = max(0, changed - lookahead)  # number of words that are tagged before it arrives
        after = window_emissions(tagger, tokens, lookahead)
        for task in ("ner", "pos"):
            for one, other in zip(before[:unseen], after[:unseen], strict=True):
                assert np.array_equal(one[task], other[task])
            assert streamed(tagger, tokens, lookahead)[task][:unseen] == tags[task][:unseen]
            if direction != "forward" and lookahead <= changed:  # the first word whose window contains it
                difference = before[unseen][task][0] - after[unseen][task][0]
                assert np.abs(difference).max() > 1e-6


@settings(max_examples=40)
@given(
    st.sampled_from(VARIANTS),
    st.lists(st.lists(st.sampled_from(TOKENS), max_size=7), max_size=6),
    st.integers(0, 8),
    st.integers(0, 3),
)
def test_sentences_in_lockstep_get_the_tags_of_single_streams(model, sentences, lookahead, seed):
    tagger = make_tagger(seed, **model)
    found = tag_with_lookahead(tagger, [from_tokens(tokens) for tokens in sentences], lookahead)
    assert found == [streamed(tagger, tokens, lookahead) for tokens in sentences]


@pytest.mark.parametrize("lookahead", [0, 1, 2, 10])
@pytest.mark.parametrize(("scheme", "written"), [("BIOES", "BIOES"), ("BIOES", "IOB2"), ("IOB2", "IOB2")])
@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_tags_equal_fixed_lag_decoding_and_are_legal(head, scheme, written, lookahead):
    for seed in range(3):
        tagger = make_tagger(seed, head=head, scheme=scheme, written=written)
        task = next(task for task in tagger.tasks if task.name == "ner")
        for tokens in random_sentences(tagger.bundle.vocabulary, seed, count=6):
            ids, before = [], None
            for number, window in enumerate(window_emissions(tagger, tokens, lookahead)):
                is_end = number >= len(tokens) - lookahead
                rules = tagger.engine.transitions["ner"]
                (path,) = decode_window(window["ner"][None], rules, before, is_end=is_end)
                ids += list(path if is_end else path[:1])
                before = path[:1]
            own = [task.tags[number] for number in ids]
            expected = convert_tags(own, scheme, written) if written == "IOB2" else own
            assert streamed(tagger, tokens, lookahead)["ner"] == expected
            # Without lookahead, a span can be open at the end of the sentence; otherwise no tag is illegal.
            assert set(violations(own, scheme)) <= ({len(own) - 1} if lookahead == 0 else set())


def test_invalid_schemes_and_lookaheads_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"IOB2 .* BIOES"):
        StreamingTagger(make_tagger(scheme="IOB2", written="BIOES"), lookahead=3)
    for call in (
        lambda: StreamingTagger(make_tagger(), lookahead=-1),
        lambda: tag_with_lookahead(make_tagger(), [], -1),
    ):
        with pytest.raises(InputError, match="got -1") as error:
            call()
        assert (error.value.code, error.value.option) == ("argument.value", "lookahead")
    with pytest.raises(InputError, match="missing"):
        StreamingTagger(tmp_path / "missing", lookahead=1)


def test_words_are_returned_when_they_are_tagged(tmp_path):
    bundle = make_bundle()[1]
    save_bundle(bundle, tmp_path / "model")
    streaming = StreamingTagger(tmp_path / "model", lookahead=2)
    counts = [[one.token for one in streaming.push(token)] for token in TOKENS[:4]]
    assert counts == [[], [], TOKENS[:1], TOKENS[1:2]]
    assert [one.token for one in streaming.end_sentence()] == TOKENS[2:4]
    assert streaming.end_sentence() == []
    assert list(streaming.tag([])) == []
    with pytest.raises(TypeError, match=r"^tokens must be .* \(got str 'Mira met Tom'\)"):
        streaming.tag("Mira met Tom")


def test_a_sentence_does_not_depend_on_the_previous_one():
    tagger = make_tagger(layers=2)
    streaming = StreamingTagger(tagger, lookahead=1)
    alone = list(StreamingTagger(tagger, lookahead=1).tag(TOKENS))
    for _ in range(2):
        assert list(streaming.tag(TOKENS)) == alone
    for one in streaming.tag(reversed(TOKENS)):
        assert one.token == TOKENS[-1]
        break
    assert list(streaming.tag(TOKENS)) == alone


def test_an_endless_stream_is_read_only_up_to_the_lookahead():
    read = 0

    def words():
        nonlocal read
        for token in itertools.cycle(TOKENS):
            read += 1
            yield token

    for number, one in enumerate(StreamingTagger(make_tagger(), lookahead=3).tag(words())):
        assert one.token == TOKENS[number % len(TOKENS)]
        assert read == number + 4
        if number == 50:
            break


def attributes(one, *excluded):
    return {name: value for name, value in vars(one).items() if name not in excluded}


@pytest.mark.parametrize("model", [{"layers": 2, "characters": "none"}, {"direction": "forward"}], ids=repr)
def test_the_state_does_not_grow(model):
    streaming = StreamingTagger(make_tagger(**model), lookahead=3)
    sizes = []
    for number in range(600):
        streaming.push(f"word{number}")
        if number % 50 == 30:
            sentence = streaming._sentence
            state = (
                attributes(streaming, "_tagger", "_sentence"),
                attributes(sentence, "_engine", "encoder"),
                attributes(sentence.encoder, "_engine", "_layers"),
            )
            sizes.append(len(pickle.dumps(state)))
    assert max(sizes) - min(sizes) <= 64, "tokens differ in length"


def test_too_large_weights_are_an_error():
    _, bundle = make_bundle()
    large = {"heads.0.projection.weight": np.full_like(bundle.tensors["heads.0.projection.weight"], 9e29)}
    tagger = Tagger(replace(bundle, tensors={**bundle.tensors, **large}))
    with pytest.raises(InputError, match="scores") as error:
        list(StreamingTagger(tagger, lookahead=0).tag(TOKENS))
    assert error.value.code == "bundle.damaged"
