"""Retake the screenshots of the docs.

    python scripts/page_shots.py docs/images

The first shows what the next word changes, on the page of ``tagger serve``. The others show a project of
``tagger annotate`` from its first sentence to a better model. Its pool is data/train.conll. An annotator is
simulated: the tags are those of the corpus, and each sentence takes the seconds that ``tagger select``
assumes. The training is real. With ``--all``, each picture is taken at two more widths and in both colour
schemes, to look at.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tagger.annotation.annotation_cost import PRIOR
from tagger.annotation.background_training import BackgroundTraining
from tagger.annotation.model_versions import start_with
from tagger.annotation.store import AnnotationStore
from tagger.corpus.loading import read_corpus
from tagger.corpus.project_documents import ProjectSettings
from tagger.serving.annotation_desk import Desk
from tagger.serving.annotation_routes import make_annotation_gate
from tagger.text.schemes import tags_to_spans

CORPUS = Path(__file__).parents[1] / "data" / "train.conll"
LABELS = ("PER", "ORG", "LOC", "MISC")
N_SENTENCES = 250
COLUMNS = "token,pos,ner"
ANNOTATOR = "ada"
WIDTHS = (390, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DOCS_WIDTH = 880
N_COLOURS = 64  # enough for text on a few colours, at a third of the size
MILLISECONDS = 400_000  # for a training on a busy machine
SCROLL_WIDTH = "document.documentElement.scrollWidth"


class Clock:
    """A clock that also counts the time that the simulated annotator takes."""

    def __init__(self) -> None:
        self.taken = 0.0

    def __call__(self) -> float:
        """Return the seconds since 1970."""
        return time.time() + self.taken


@contextmanager
def serve(desk: Desk) -> Iterator[str]:
    """Serve a project on a free port, and yield the address."""
    server = uvicorn.Server(uvicorn.Config(make_annotation_gate(desk), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.1)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def annotate(desk: Desk, clock: Clock, n_sentences: int) -> None:
    """Accept sentences with the tags of the corpus, one of them without its spans."""
    gold = {sentence.tokens: sentence for sentence in read_corpus(CORPUS, columns=COLUMNS)}
    done, is_wrong = 0, False
    while done < n_sentences:
        answer = desk.next_sentence(ANNOTATOR)
        if not answer["lease"]:
            time.sleep(0.5)
            continue
        tokens = tuple(token["text"] for token in answer["tokens"])
        seconds = PRIOR.seconds(len(tokens))
        clock.taken += seconds
        spans = tags_to_spans(gold[tokens].tags["ner"], "IOB2")
        if not is_wrong and len(spans) > 1 and done > n_sentences // 2:
            spans, is_wrong = [], True
        desk.decide(answer["lease"]["key"], (len(tokens), spans, ()), seconds)
        done += 1


def press(page: Page, key: str) -> None:
    """Press a key once the page has shown the result of the last one."""
    page.wait_for_selector("#main:not([aria-busy])")
    page.keyboard.press(key)


def take(page: Page, folder: Path, name: str, *, has_all: bool) -> None:
    """Take one picture for the documentation, and with ``has_all`` the variants."""
    for width, scheme in [(DOCS_WIDTH, SCHEMES[0]), *(product(WIDTHS, SCHEMES) if has_all else ())]:
        page.set_viewport_size({"width": width, "height": 600})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        suffix = "" if width == DOCS_WIDTH else f"-{width}-{scheme}"
        path = folder / f"{name}{suffix}.png"
        page.screenshot(path=path, full_page=True)
        Image.open(path).convert("RGB").quantize(N_COLOURS).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {page.evaluate(SCROLL_WIDTH)} px wide")


def show_next_words(browser: Browser, folder: Path, *, has_all: bool) -> None:
    """Take a picture of what the next word changes in the first example of the page."""
    command = [sys.executable, "-m", "tagger", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr
            address = next(filter(None, (re.search(r"http://\S+", line) for line in server.stderr)))[0]
            page = browser.new_page(viewport={"width": DOCS_WIDTH, "height": 600})
            page.goto(address)
            expect(page.locator("[data-step]").first).to_be_visible(timeout=MILLISECONDS)
            for title in ("#ahead-title", "#result-title"):  # only the part that the docs explain
                page.locator("section", has=page.locator(title)).evaluate("section => section.remove()")
            take(page, folder, "next-words", has_all=has_all)
            page.close()
        finally:
            server.terminate()


def walk(browser: Browser, desk: Desk, clock: Clock, folder: Path, *, has_all: bool) -> None:
    """Use the page with the keyboard from the first sentence to a better model, and take the pictures."""
    with serve(desk) as address:
        page = browser.new_page(viewport={"width": DOCS_WIDTH, "height": 600})
        page.goto(address)
        page.keyboard.type(ANNOTATOR)
        page.keyboard.press("Enter")
        expect(page.locator("#text mark").first).to_be_visible(timeout=MILLISECONDS)
        page.keyboard.press("ArrowDown")
        take(page, folder, "annotate-sentence", has_all=has_all)
        annotate(desk, clock, N_SENTENCES)
        press(page, "Enter")
        press(page, "t")
        expect(page.locator("#training")).to_contain_text("epoch 3", timeout=MILLISECONDS)
        take(page, folder, "annotate-training", has_all=has_all)
        expect(page.locator("#training")).to_contain_text("becomes active", timeout=MILLISECONDS)
        while "Version 2" not in page.inner_text("#notice"):  # it is loaded in the background
            press(page, "Enter")
            page.wait_for_timeout(2000)
        take(page, folder, "annotate-better", has_all=has_all)
        press(page, "a")
        expect(page.locator("#suspicions")).to_be_visible(timeout=MILLISECONDS)
        take(page, folder, "annotate-check", has_all=has_all)
        page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of the pictures")
    parser.add_argument("--all", action="store_true", help="more widths and colour schemes")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        AnnotationStore.create(Path(folder, "case.db"), ProjectSettings("ner", LABELS), clock=clock) as store,
        sync_playwright() as driver,
    ):
        store.add_pool(read_corpus(CORPUS, columns=COLUMNS))
        start_with(store, "en")
        training = BackgroundTraining(Path(folder, "case.db"), Path(folder, "case.models"), niceness=0)
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = driver.chromium.launch(executable_path=program)
        show_next_words(browser, options.output, has_all=options.all)
        walk(browser, Desk(store, training=training), clock, options.output, has_all=options.all)
        browser.close()


if __name__ == "__main__":  # the training is a process that imports this module
    main()
