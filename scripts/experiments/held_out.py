"""A dev part for CoNLL-2000, which has none: the experiments share it."""

import argparse
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "recipes" / "hold_out.py"


def hold_out_chunks(corpora: Path, folder: Path, parser: argparse.ArgumentParser) -> None:
    """Put every tenth sentence of CoNLL-2000's train part aside, as that corpus has no dev part."""
    chunks = corpora / "conll2000" / "train.txt"
    if not chunks.is_file():
        parser.error(f"{chunks}: there is no such file; check CORPORA.")
    hold_out = [sys.executable, str(SCRIPT), str(chunks)]
    if code := subprocess.run([*hold_out, str(folder)], check=False).returncode:
        sys.exit(code)
