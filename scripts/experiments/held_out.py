"""Make a dev split for CoNLL-2000, which has none; shared by the experiments."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "recipes"))

from hold_out import hold_out


def hold_out_chunks(corpora: Path, folder: Path, parser: argparse.ArgumentParser) -> None:
    """Hold out every tenth sentence of the train split of CoNLL-2000 as dev."""
    chunks = corpora / "conll2000" / "train.txt"
    if not chunks.is_file():
        parser.error(f"{chunks}: file not found. Check CORPORA.")
    hold_out(chunks, folder)
