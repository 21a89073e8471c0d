"""``tagger tag --input``: column files are tagged and written back with predicted columns."""

import json

import pytest
from command_line import input_error, rows, run, run_error
from input_errors import check

from tagger import Tagger
from tagger.corpus.files import read_sentences
from tagger.evaluation.scores import score_spans

SEPARATORS = {" ": "blanks.conll", "\t": "tabs.conll"}
LINES = [
    "-DOCSTART- -X- O",
    "",
    "# sent_id = 1",
    "Ada PROPN B-PER",
    "met VERB O",
    "Otto PROPN B-PER",
    "",
    "",
    "In ADP O",
    "Oslo PROPN B-LOC",
    "-DOCSTART- -X- O",
    "",
    "Mia PROPN B-PER",
    "sang VERB O",
]


@pytest.fixture(params=SEPARATORS)
def separator(request) -> str:
    return request.param


@pytest.fixture
def path(tmp_path, separator):
    path = tmp_path / SEPARATORS[separator]
    content = [line if line.startswith("#") else line.replace(" ", separator) for line in LINES]
    path.write_text("\n".join(content) + "\n")
    return path


def gold(path):
    return list(read_sentences(path, columns="token,pos,ner", tasks=("pos", "ner")))


def test_every_line_is_kept_and_gets_predicted_tags(model, path, separator):
    code, output, error = run("tag", "-m", model, "--input", "conll", path)
    assert (code, error) == (0, f"tagger: {path}: conll; columns token, pos, ner\n")
    before, after = path.read_text().splitlines(), output.splitlines()
    assert len(before) == len(after)
    added = [new.removeprefix(old) for old, new in zip(before, after, strict=True)]
    tagged = list(Tagger.load(model).tag_sentences(gold(path)))
    expected = iter([tags for one in tagged for tags in zip(one.tags["pos"], one.tags["ner"], strict=True)])
    for old, new in zip(LINES, added, strict=True):
        if not old or old.startswith("#"):
            assert new == ""
        elif old.startswith("-DOCSTART-"):
            assert new == separator.join(["", "-X-", "O"])
        else:
            assert new == separator.join(["", *next(expected)])
    assert next(expected, None) is None


def test_scores_of_the_written_columns_agree_with_evaluate(model, path, separator, tmp_path):
    output = tmp_path / "scored.conll"
    assert run("tag", "-m", model, "--input", "conll", path, "--task", "ner", "--output", output)[0] == 0
    read = list(read_sentences(output, columns="token,pos,gold,predicted", tasks=("gold", "predicted")))
    assert [one.starts_document for one in read] == [True, False, True]
    scores = score_spans([one.tags["gold"] for one in read], [one.tags["predicted"] for one in read])
    result = json.loads(run("evaluate", model, path, "--task", "ner", "--json")[1])["tasks"]["ner"]
    for name in ("precision", "recall", "f1", "support"):
        assert scores[name] == pytest.approx(result[name])


def test_columns_before_the_token_are_kept(model, tmp_path):
    path = tmp_path / "numbered.conll"
    path.write_text("1 Ada PROPN B-PER +\n2 sang VERB O +\n\n1 Mia PROPN B-PER -\n")
    _, output, _ = run("tag", "-m", model, "--input", "conll", path, "--task", "pos")
    assert [line.rsplit(" ", 1)[0] for line in output.splitlines()] == path.read_text().splitlines()
    path.write_text("x Ada\ny sang\n")
    _, output, error = run(
        "tag", "-m", model, "--input", "conll", path, "--columns", "_,token", "--task", "pos"
    )
    assert "columns _, token" in error
    assert [line.split(" ")[:2] for line in output.splitlines()] == [["x", "Ada"], ["y", "sang"]]


CONLLU = (
    "# newdoc\n# text = Ada doesn't sing.\n1\tAda\tAda\t_\tNNP\t_\t3\tnsubj\t_\tA=b\n"
    "2-3\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_\n2\tdoes\tdo\tAUX\t_\t_\t3\taux\t_\t_\n"
    "3\tn't\tnot\tPART\t_\t_\t0\troot\t_\t_\n3.1\tx\tx\t_\t_\t_\t_\t_\t_\t_\n"
    "4\tsing\tsing\tVERB\t_\t_\t3\tx\t_\tSpaceAfter=No\n5\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_\n\n"
)


def test_conllu_writes_parts_of_speech_to_upos_and_spans_to_misc(model, tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(CONLLU)
    code, output, _ = run("tag", "-m", model, "--input", "conllu", path)
    assert code == 0
    (sentence,) = Tagger.load(model).tag_sentences(read_sentences(path, tasks=("pos",)))
    expected = CONLLU.splitlines()
    tags = iter(zip(sentence.tags["pos"], sentence.tags["ner"], strict=True))
    for index, line in enumerate(expected):
        fields = line.split("\t")
        if fields[0].isdecimal():
            fields[3], ner = next(tags)
            fields[9] = "|".join([one for one in [fields[9]] if one != "_"] + [f"ner={ner}"])
            expected[index] = "\t".join(fields)
    assert output.splitlines() == expected
    _, output, _ = run("tag", "-m", model, "--input", "conllu", "--format", "conll", "--task", "pos", path)
    assert output.splitlines()[2:4] == [
        f"Ada\t_\t{sentence.tags['pos'][0]}",
        f"does\tAUX\t{sentence.tags['pos'][1]}",
    ]


def test_jsonl_has_the_tokens_of_the_file(model, path):
    _, output, _ = run("tag", "-m", model, "--input", "conll", "--format", "jsonl", path)
    records = rows(output)
    assert [[token["text"] for token in one["tokens"]] for one in records] == [
        list(one.tokens) for one in gold(path)
    ]
    assert [one.get("starts_document", one["start"] == 0) for one in records] == [True, False, True]


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a", "a.iob2"])
def test_column_files_are_not_tagged_as_running_text(model, path, tmp_path, name, separator):
    named = tmp_path / name
    named.write_text(path.read_text())
    message = run_error("tag", "-m", model, named)
    assert message.startswith(f"{named}: this is a column file with one token per line. Pass --input conll")
    code, output, error = run("tag", "-m", model, "--input", "text", named)
    assert (code, error) == (0, "")
    assert '"PER"' in output


def test_column_files_are_not_tagged_as_pretokenized_lines(model, path, tmp_path):
    assert "Pass --input conll" in run_error("tag", "-m", model, path, "--pretokenized")
    ready = tmp_path / "ready.conll"
    ready.write_text("Ada met Otto .\nMia sang\nIn Oslo\n")
    assert len(rows(run("tag", "-m", model, ready, "--pretokenized")[1])) == 3


@pytest.mark.parametrize(
    "text",
    [
        "I am O\nyou are B-side me\nso what\n",
        "Ada met Otto.\nIn Oslo it rained.\n",
        "one two\nthree four\nfive six\n",
        "a O\n",
    ],
)
def test_running_text_is_not_mistaken_for_columns(model, tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert run("tag", "-m", model, path)[0] == 0


def test_borders_do_not_hide_columns(model, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("-DOCSTART-\n\nAda B-PER\nsang O\n\n-DOCSTART-\n\nOslo B-LOC\n")
    for more in ([], ["--pretokenized"]):
        assert "Pass --input conll" in run_error("tag", "-m", model, path, *more)


def test_tables_with_a_header_are_neither_running_text_nor_columns(model, tmp_path):
    content = "word\ttag\nAda\tB-PER\nsang\tO\n"
    table, tabs = tmp_path / "a.csv", tmp_path / "a.tsv"
    table.write_text(content.replace("\t", ","))
    tabs.write_text(content)
    check(input_error("tag", "-m", model, table), "corpus.format", file=table, option="--text-column")
    for path in (table, tabs):
        message = run_error("tag", "-m", model, "--input", "conll", path)
        assert message.startswith(f"{path}:1: this is a table with a header")


def test_record_files_are_not_tagged_as_running_text(model, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"tokens": ["Ada"], "tags": ["B-PER"]}\n')
    check(input_error("tag", "-m", model, path), "corpus.format", file=path, option="--text-column")
    assert run("tag", "-m", model, "--input", "text", path)[0] == 0


@pytest.mark.parametrize(
    ("words", "option", "fragment"),
    [
        (
            ["--input", "conll", "--format", "html"],
            "--format",
            "conll, conllu, jsonl with --input conll (got html)",
        ),
        (["--format", "conllu"], "--format", "(got conllu)"),
        (["--input", "conll", "--format", "conllu"], "--format", "needs --input conllu"),
        (["--input", "conll", "--stream"], "--stream", "running text (got --input conll)"),
        (["--input", "conll", "--pretokenized"], "--pretokenized", "running text"),
        (["--input", "conll", "--workers", "2"], "--workers", "running text"),
        (["--input", "text", "--columns", "token,ner"], "--columns", "needs --input conll."),
        (["--input", "conllu", "--columns", "token,ner"], "--columns", "needs --input conll."),
    ],
)
def test_incompatible_options_are_rejected(model, path, words, option, fragment):
    error = input_error("tag", "-m", model, path, *words)
    check(error, "option.conflict", option=option, mentions=fragment)


def test_an_unknown_input_format_is_an_error_with_the_choices(model, path):
    message = run_error("tag", "-m", model, path, "--input", "csv")
    assert message.startswith(
        "Invalid value for '--input': 'csv' is not one of 'text', 'conll', 'conllu'; see "
    )


def test_input_option_needs_a_regular_file(model, tmp_path):
    assert "needs a regular file" in run_error(
        "tag", "-m", model, "-", "--input", "conll", stdin=b"Ada B-PER\n"
    )
    error = input_error("tag", "-m", model, "--text", "Ada sang", "--input", "conll")
    assert (error.code, error.option) == ("option.conflict", "--input")
    wrong = tmp_path / "wrong.conll"
    wrong.write_text("Ada B-PER\nsang\n")
    assert f"{wrong}:2: expected 2 columns" in run_error(
        "tag", "-m", model, wrong, "--input", "conll", "--output", tmp_path / "o"
    )
    assert not (tmp_path / "o").exists()
