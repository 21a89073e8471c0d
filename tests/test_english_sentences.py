"""The English model on plain sentences of the kind that a first-time user types."""

import pytest

from tagger import Sentence, Span, Tagger
from tagger.included import included_models

pytestmark = pytest.mark.skipif("en" not in included_models(), reason="the English model is not built here")

CONFIDENT = 0.8  # minimum score of every entity in the first sentences of the documentation

# Chicago is a team, named after a city.
FIRST = [
    ("Jordan scored twice for Chicago.", ("PER Jordan, ORG Chicago", "PER Jordan, LOC Chicago")),
    ("Barack Obama visited Siemens in Munich on Tuesday.", ("PER Barack Obama, ORG Siemens, LOC Munich",)),
]
SENTENCES = [
    ("Angela Merkel met Emmanuel Macron in Berlin.", "PER Angela Merkel, PER Emmanuel Macron, LOC Berlin"),
    ("Apple opened a new store in Tokyo last week.", "ORG Apple, LOC Tokyo"),
    ("Marie Curie was born in Warsaw and worked in Paris.", "PER Marie Curie, LOC Warsaw, LOC Paris"),
    ("She studied physics at Stanford University.", "ORG Stanford University"),
    ("Google bought YouTube in 2006.", "ORG Google, ORG YouTube"),
    ("my sister lives in london and works for microsoft", "LOC london, ORG microsoft"),
    ("The weather is lovely today, so we went for a walk.", ""),
    ("John's car broke down near Boston.", "PER John, LOC Boston"),
    ("Where did Mozart live in Vienna?", "PER Mozart, LOC Vienna"),
    ("Hi Anna, please send the report to Peter Miller by Friday.", "PER Anna, PER Peter Miller"),
    ("The United Nations sent help to Haiti.", "ORG United Nations, LOC Haiti"),
    ("Serena Williams won the match in Melbourne.", "PER Serena Williams, LOC Melbourne"),
    ("I flew from New York to San Francisco with Delta.", "LOC New York, LOC San Francisco, ORG Delta"),
    ("Toyota and Honda build cars in Japan.", "ORG Toyota, ORG Honda, LOC Japan"),
    ("Dr. Smith works at the University of Oxford.", "PER Smith, ORG University of Oxford"),
    ("GOOGLE OPENS NEW OFFICE IN DUBLIN", "ORG GOOGLE, LOC DUBLIN"),
    ("Elon Musk founded SpaceX in California.", "PER Elon Musk, ORG SpaceX, LOC California"),
    ("Bill Gates left Harvard to start Microsoft.", "PER Bill Gates, ORG Harvard, ORG Microsoft"),
    ("The European Union fined Facebook.", "ORG European Union, ORG Facebook"),
    ("Can you call Maria before you leave for Madrid?", "PER Maria, LOC Madrid"),
]


@pytest.fixture(scope="module")
def english() -> Tagger:
    return Tagger.load("en")


def entities(sentences: list[Sentence]) -> list[Span]:
    return [span for sentence in sentences for span in sentence.spans["ner"]]


def summary(spans: list[Span]) -> str:
    return ", ".join(f"{span.label} {span.text}" for span in spans)


@pytest.mark.parametrize(("text", "expected"), FIRST)
def test_the_first_sentences_have_the_expected_entities(english, text, expected):
    assert summary(entities(english.tag(text))) in expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(FIRST[0][0], marks=pytest.mark.xfail(strict=True, reason="Jordan scores 0.64")),
        FIRST[1][0],
    ],
)
def test_the_first_sentences_have_confident_entities(english, text):
    assert min(span.score for span in entities(english.tag(text))) > CONFIDENT


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_plain_sentences_have_the_expected_entities(english, text, expected):
    assert summary(entities(english.tag(text))) == expected
