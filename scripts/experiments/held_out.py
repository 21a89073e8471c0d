"""Make a dev split for CoNLL-2000, which has none; shared by the experiments."""

import argparse
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "recipes" / "hold_out.py"


def hold_out_chunks(corpora: Path, folder: Path, parser: argparse.ArgumentParser) -> None:
    """Hold out every tenth sentence of the train split of CoNLL-2000 as dev."""
    chunks = corpora / "conll2000" / "train.txt"
    if not chunks.is_file():
        parser.error(f"{chunks}: file not found. Check CORPORA.")
    hold_out = [sys.executable, str(SCRIPT), str(chunks)]
    if code := subprocess.run([*hold_out, str(folder)], check=False).returncode:
        sys.exit(code)
