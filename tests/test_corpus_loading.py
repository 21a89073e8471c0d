"""Detection of formats, columns and schemes, which all commands share, and its messages."""

import json
from dataclasses import replace

import pytest
from command_line import input_error, options, run, run_error
from input_errors import raises

from tagger.bundle import load_bundle
from tagger.corpus.detection import detect
from tagger.corpus.inspection import inspect_files
from tagger.corpus.loading import FileOptions, find_tasks, load_split, untagged
from tagger.corpus.reading import Reading
from tagger.corpus.tags import parse_schemes
from tagger.text.schemes import tags_to_spans

ROWS = ("Ana NNP B-PER", "Silva NNP I-PER", "flew VBD O", "to TO O", "Oslo NNP B-LOC", ". . O")
TINY = ("--set", "model.hidden_size=4", "--set", "train.min_steps=0", "--epochs", "1")


def lines(*, spell=lambda tag: tag, numbers=False, separator=" ", columns=(0, 1, 2), copies=3):
    sentence = []
    for number, row in enumerate(ROWS, 1):
        token, pos, tag = row.split()
        fields = [[token, pos, spell(tag)][place] for place in columns]
        sentence.append(separator.join([str(number), *fields] if numbers else fields))
    return ("\n".join(sentence) + "\n\n") * copies


BARE = dict(zip(("O", "B-PER", "I-PER", "B-LOC"), ("O", "PER", "PER", "LOC"), strict=True))
MISSPELLED = [
    lambda tag: tag.replace("-", "_"),
    lambda tag: tag.replace("-", ":"),
    lambda tag: "o" if tag == "O" else tag,
    lambda tag: "0" if tag == "O" else tag,
    lambda tag: "-".join(reversed(tag.split("-"))),
    lambda tag: tag.replace("-", "\u2013"),
]


def write(tmp_path, content, name="news.conll"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def tiny(path, output, *more):
    return run("train", "--train", path, *TINY, *more, "--output", output)


@pytest.mark.slow
@pytest.mark.parametrize("spell", MISSPELLED)
def test_a_misspelled_tag_is_an_error_in_every_command(tmp_path, model, spell):
    path = write(tmp_path, lines(spell=spell))
    wrong, right = next((spell(tag), tag) for tag in ("B-PER", "I-PER", "O") if spell(tag) != tag)
    error = input_error("train", "--train", path, *TINY, "--output", tmp_path / "m")
    assert (error.code, error.file, error.option) == ("corpus.scheme", str(path), "--scheme")
    assert f"the tag {wrong!r} belongs to no scheme; it would be {right!r}" in str(error)
    assert repr(right) in run_error("evaluate", model, path, "--task", "ner")
    error = input_error("convert", path, tmp_path / "out.conllu")
    assert (error.code, error.option) == ("corpus.scheme", "--from-scheme")
    assert repr(right) in str(error)
    assert "--from-scheme ner=none" in str(error)
    code, output, _ = run("check", path)
    assert (code, "belongs to no scheme" in output) == (1, True)
    code, output, _ = run("check", path, "--scheme", "IOB2")
    assert code == 1
    assert f"Write {right!r}" in output
    code, output, _ = tiny(path, tmp_path / "plain", "--scheme", "ner=none")
    assert (code, "ner one tag per token" in output) == (0, True)


@pytest.mark.slow
def test_bare_labels_are_spans_and_every_command_reports_them(tmp_path, model):
    path = write(tmp_path, lines(spell=BARE.get))
    code, output, error = tiny(path, tmp_path / "m")
    assert code == 0
    assert f"{path}: conll; columns token, pos, ner; labels without prefix; spans LOC, PER\n" in output
    assert "the tags of 'ner' are labels without prefix" in error
    assert load_bundle(tmp_path / "m").vocabulary.tasks[0].tags[1:5] == ("B-LOC", "I-LOC", "E-LOC", "S-LOC")
    for arguments in (("evaluate", model, path), ("convert", path, tmp_path / "o.conllu")):
        code, _, error = run(*arguments)
        assert (code, "labels without prefix" in error) == (0, True)
    assert "labels without prefix" in run("check", path)[1]
    (facts,) = inspect_files([str(path)], pytest.fail).files
    assert facts.counts["ner"] == {"PER": 3, "LOC": 3}
    split = load_split([path], ["ner"])
    for sentence in split.sentences:
        found = tags_to_spans(sentence.tags["ner"], split.schemes["ner"])
        assert [(span.start, span.end, span.label) for span in found] == [(0, 2, "PER"), (4, 5, "LOC")]


def test_a_mixture_of_bare_and_prefixed_labels_is_an_error(tmp_path):
    path = write(tmp_path, "Ana PER\nsat O\nBo PER\nin O\nOslo B-LOC\n")
    values = "a prefix (got 'B-LOC'), others have none (got 'PER')"
    with raises("corpus.scheme", file=path, option="--scheme", mentions=values):
        load_split([path], ["ner"])


@pytest.mark.slow
@pytest.mark.parametrize("is_last", [True, False])
def test_columns_without_tokens_or_tags(tmp_path, is_last):
    """The first column numbers the tokens, and the last tells whether a space follows."""
    content = lines(numbers=True)
    if not is_last:
        content = "".join(f"{row} +\n" if row else "\n" for row in content.splitlines())
    path = write(tmp_path, content)
    split = load_split([path], ["ner"])
    assert split.sentences[0].tokens == ("Ana", "Silva", "flew", "to", "Oslo", ".")
    assert split.sentences[0].tags["ner"] == ("B-PER", "I-PER", "O", "O", "B-LOC", "O")
    columns = "_, token, pos, ner" if is_last else "_, token, pos, ner, column5"
    assert split.summary == (f"{path}: conll; columns {columns}; scheme IOB2; spans LOC, PER",)
    assert f"columns {columns};" in tiny(path, tmp_path / "m")[1]


@pytest.mark.parametrize(
    ("content", "tasks", "code", "values"),
    [
        (
            "Ana NNP\nsat VBD\n",
            ["ner"],
            "corpus.task",
            "'ner' (got token, pos). Pass --task pos,",
        ),
        (
            "Ana x y\nsat y x\n",
            ["pos"],
            "corpus.task",
            "'pos' (got token, column2, column3).",
        ),
        ("Ana x B-A\nsat y O\n", ["mood"], "corpus.task", "(got token, column2, ner)"),
        ("Ana\tNN B-A\nBo\tNN B-A\nsat\tVB O\n", ["ner"], "corpus.format", "by tabs and by spaces"),
        ("\tAna NN B-A\n\tBo NN B-A\n\tsat VB O\n", ["ner"], "corpus.format", "by tabs and by spaces"),
    ],
)
def test_ambiguous_columns_are_an_error_that_lists_them(tmp_path, content, tasks, code, values):
    path = write(tmp_path, content)
    with raises(code, file=path, option="--columns" if code == "corpus.task" else "", mentions=values):
        load_split([path], tasks)


def test_spaces_inside_tokens_do_not_separate_columns(tmp_path):
    path = write(tmp_path, "10 000\tB-N\nNew York\tB-LOC\nLa Paz\tB-LOC\n")
    assert load_split([path], ["ner"]).sentences[0].tokens == ("10 000", "New York", "La Paz")


@pytest.mark.parametrize(
    ("content", "task"),
    [
        ("Ana ART\nsat VVFIN\n", "pos"),
        ("Ana x\nsat y\n", "mood"),
        ("Ana NNP B-NP\nsat VBD O\n", "ner"),
        ("Ana NNP B-PER\nsat VBD O\n", "chunk"),
    ],
)
def test_the_only_candidate_column_gets_the_name_of_the_task(tmp_path, content, task):
    assert task in detect(write(tmp_path, content), tasks=[task]).columns.split(",")


@pytest.mark.slow
def test_files_of_one_split_may_differ_in_columns_and_scheme(tmp_path):
    first = write(tmp_path, lines(columns=(0, 2)))
    iob1 = {"B-PER": "I-PER", "B-LOC": "I-LOC"}
    second = write(tmp_path, lines(numbers=True, spell=lambda tag: iob1.get(tag, tag)), "other.conll")
    split = load_split([first, second], ["ner"])
    assert split.schemes == {"ner": "IOB2"}
    assert len(split.sentences) == 6
    assert {sentence.tags["ner"] for sentence in split.sentences} == {
        ("B-PER", "I-PER", "O", "O", "B-LOC", "O")
    }
    code, output, _ = run("train", "--train", first, "--train", second, *TINY, "--output", tmp_path / "m")
    assert (code, "train     news.conll, other.conll: 6 sentences, 36 tokens\n" in output) == (0, True)
    code, output, _ = run("evaluate", tmp_path / "m", first, second, "--json")
    assert json.loads(output)["sentences"] == 6
    with raises("option.value", file=first, mentions="twice"):
        load_split([first, first], ["ner"])


def test_comparisons_take_several_files_too(tmp_path):
    first, second = write(tmp_path, lines()), write(tmp_path, lines(copies=2), "other.conll")
    words = ["compare", "--train", first, "--train", second, "--dev", first, *options({"train.epochs": 1})]
    words += ["--directions", "forward", "--heads", "softmax", "--seeds", 1, "--output", tmp_path / "c"]
    marked = write(tmp_path, lines(copies=1).replace("\nSilva", "\n\ufeffSilva"), "test.conll")
    code, output, error = run(*words, "--test", marked)
    assert code == 0
    for file in (first, second, marked):
        assert f"{file}: conll; columns token, pos, ner; scheme IOB2; spans LOC, PER\n" in output
    assert f"{marked}:2: dropped a byte order mark at the start of the line." in error
    files = json.loads((tmp_path / "c" / "results.json").read_text())["settings"]["files"]
    assert files["train"]["file"] == "news.conll, other.conll"
    assert files["train"]["sentences"] == 5


CONLLU = "# text = Dogs bark\n1\tDogs\t_\tNOUN\t_\t_\t0\t_\t_\t_\n2\tbark\t_\t{}\t_\t_\t0\t_\t_\t_\n\n"


@pytest.mark.slow
def test_unspecified_tags_are_excluded_from_training_and_scores(tmp_path, model):
    path = write(tmp_path, CONLLU.format("_") + CONLLU.format("VERB"), "some.conllu")
    split = load_split([path], ["pos"], reading=Reading(warn=(notes := []).append))
    assert split.unspecified == {"pos": 1}
    assert notes == [f"{path}: 1 of 4 tokens have no tag of 'pos' (_); loss and scores ignore them."]
    for head in ("crf", "softmax"):
        code, output, _ = tiny(path, tmp_path / head, "--dev", path, "--task", "pos", "--head", head)
        assert code == 0, output
        bundle = load_bundle(tmp_path / head)
        assert set(bundle.vocabulary.tasks[0].tags) == {"NOUN", "VERB"}
        assert bundle.metrics["dev"]["pos"]["support"] == 3
    code, output, error = run("evaluate", model, path, "--json")
    result = json.loads(output)
    assert code == 0
    assert result["tasks"]["pos"]["support"] == 3
    assert sum(map(sum, result["confusion"]["pos"]["matrix"])) == 3
    assert sum(one["count"] for one in result["calibration"]["pos"]["after"]["reliability"]) == 3
    assert "1 of 4 tokens have no tag of 'pos'" in error
    assert "1 of 4 tokens have no tag of 'pos'" in run("check", path)[1]


def test_a_split_without_any_tag_is_an_error(tmp_path, model):
    path = write(tmp_path, CONLLU.format("_").replace("NOUN", "_"), "none.conllu")
    assert set(untagged(load_split([path], ["pos"]))) == {"pos"}
    for arguments in (
        ("train", "--train", path, *TINY, "--task", "pos", "--output", tmp_path / "m"),
        ("evaluate", model, path, "--task", "pos"),
    ):
        _, _, error = run(*arguments)
        assert f"{path}: no token has a tag of 'pos' (got only _ or ?)." in error


def test_evaluate_scores_the_tasks_of_the_file_and_names_the_others(tmp_path, model):
    path = write(tmp_path, lines(columns=(0, 2)))
    code, output, _ = run("evaluate", model, path, "--json")
    result = json.loads(output)
    assert (code, list(result["tasks"])) == (0, ["ner"])
    assert result["read"][-1] == "news.conll: no gold tags for the model's task 'pos'; it is not evaluated"
    error = input_error("evaluate", model, path, "--task", "pos")
    assert (error.code, error.option) == ("corpus.task", "--columns")
    assert "'pos'" in str(error)
    conllu = write(tmp_path, CONLLU.format("VERB"), "a.conllu")
    assert list(json.loads(run("evaluate", model, conllu, "--json")[1])["tasks"]) == ["pos"]
    tasks, lacking = find_tasks([conllu, path], ["pos", "ner"], FileOptions(), Reading())
    assert (tasks, list(lacking)) == ([], ["ner", "pos"])


@pytest.mark.slow
def test_suffix_and_content_override_the_format_of_training(tmp_path):
    """A model that was trained on CoNLL-U is scored on columns."""
    conllu = write(tmp_path, CONLLU.format("VERB"), "train.conllu")
    assert tiny(conllu, tmp_path / "m", "--task", "pos", "--format", "conllu")[0] == 0
    columns = write(tmp_path, "Dogs NOUN\nbark VERB\n", "dev.conll")
    code, output, _ = run("evaluate", tmp_path / "m", columns, "--json")
    assert (code, json.loads(output)["tokens"]) == (0, 2)
    assert json.loads(output)["read"] == [
        f"{columns}: conll; columns token, pos; pos one tag per token, 2 tags"
    ]


PLUS = (
    "# global.columns = ID FORM UPOS PARSEME:MWE\n# text = Dogs bark\n"
    "1\tDogs\tNOUN\t*\n2\tbark\tVERB\t1:LVC\n\n"
)


def test_conllu_plus_names_its_columns(tmp_path):
    for name in ("a.conllup", "a.conllu", "a.txt"):
        path = write(tmp_path, PLUS, name)
        detected = detect(path)
        assert (detected.format, set(detected.tasks)) == ("conllu", {"pos", "parseme:mwe"})
        (sentence,) = detected.read(Reading(tasks=()))
        assert sentence.tokens == ("Dogs", "bark")
        assert sentence.tags == {"parseme:mwe": ("*", "1:LVC"), "pos": ("NOUN", "VERB")}
    wrong = write(tmp_path, PLUS.replace("FORM", "WORD"), "b.conllup")
    with raises("corpus.columns", file=wrong, line=1, option="--format", mentions="WORD"):
        list(detect(wrong).read(Reading()))


def test_a_text_comment_that_does_not_match_the_tokens_gives_a_warning(tmp_path):
    other = write(tmp_path, CONLLU.format("VERB").replace("Dogs bark", "Cats sleep"), "b.conllu")
    columns = write(tmp_path, "# text = Cats sleep\nDogs B-A\nbark O\n")
    for file in (other, columns):
        notes = inspect_files([str(file)], pytest.fail).files[0].notes
        assert any("the comment # text does not match the tokens" in note for note in notes)
        assert "does not match the tokens" in run("check", file)[1]
        assert "does not match the tokens" in run("convert", file, "-", "--to", "jsonl")[2]


def test_byte_order_marks_inside_a_file_are_dropped_with_a_warning(tmp_path):
    path = write(tmp_path, "\ufeff-DOCSTART- O\n\n" + lines() + "\ufeff-DOCSTART- O\n\n\ufeffAna NNP B-PER\n")
    split = load_split([path], ["ner"], reading=Reading(warn=(notes := []).append))
    assert split.sentences[-1].tokens == ("Ana",)
    assert [sentence.starts_document for sentence in split.sentences] == [True, False, False, True]
    assert [note.rpartition(": ")[2] for note in notes] == [
        "dropped a byte order mark at the start of the line."
    ] * 2
    assert len(inspect_files([str(path)], pytest.fail).files[0].notes) == 2


def test_requested_schemes():
    assert parse_schemes("iob1") == {"": "IOB1"}
    assert parse_schemes("ner=BARE, pos=none") == {"ner": "bare", "pos": "none"}
    assert parse_schemes(None) == {}
    with raises("option.unknown", mentions="'XYZ'"):
        parse_schemes("ner=XYZ")
    for twice in ("ner=IOB1,pos=none,ner=IOB2", "IOB1,IOB2"):
        with raises("option.value", option="--scheme", mentions="twice"):
            parse_schemes(twice)


def test_a_requested_scheme_applies_only_to_span_columns(tmp_path):
    path = write(tmp_path, lines(spell=BARE.get))
    found = inspect_files([str(path)], (problems := []).append, scheme="IOB2")
    assert found.files[0].schemes == {"pos": None, "ner": "IOB2"}
    assert len(problems) == 9  # the tokens inside spans
    split = load_split([path], ["pos", "ner"], options=FileOptions(schemes=parse_schemes("bare")))
    assert split.schemes == {"pos": None, "ner": "IO"}


def test_the_default_columns_resolve_ambiguous_files(tmp_path):
    path = write(tmp_path, "Ana x y\nsat y x\n")
    options = FileOptions(usual="token,mood,tense")
    split = load_split([path], ["tense"], options=options)
    assert split.sentences[0].tags["tense"] == ("y", "x")
    with raises("corpus.task", option="--columns", mentions="'tense'"):
        load_split([path], ["tense"], options=replace(options, usual="token,tense"))
