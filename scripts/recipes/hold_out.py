"""Hold out every tenth sentence of a CoNLL file: python scripts/recipes/hold_out.py FILE DIR [--every 10].

Writes DIR/train.txt and DIR/dev.txt. Sentences 10, 20, 30, ... form the dev split. Sentences are copied
unchanged, including columns and separators.
"""

import argparse
import re
from pathlib import Path


def hold_out(file: Path, folder: Path, every: int = 10) -> None:
    """Write the train and dev splits of a file to a folder."""
    text = file.read_text(encoding="utf-8")
    blocks = [block for block in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")) if block.strip()]
    folder.mkdir(parents=True, exist_ok=True)
    dev = blocks[every - 1 :: every]
    train = [block for number, block in enumerate(blocks, start=1) if number % every]
    for name, split in (("train.txt", train), ("dev.txt", dev)):
        (folder / name).write_text("\n\n".join(split) + "\n\n", encoding="utf-8")
        print(f"{folder / name}: {len(split)} sentences")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=10, metavar="N")
    arguments = parser.parse_args()
    hold_out(arguments.file, arguments.folder, arguments.every)


if __name__ == "__main__":
    main()
