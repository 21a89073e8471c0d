"""Install each extra alone in a fresh environment, and use what it is for.

python scripts/check_extras.py [EXTRA]… [--constraints constraints.txt]

Needs a package index. Extras that need PyTorch, and those of development and benchmarks, are left out: tests
and `make bench` use them. Exits with code 1 if an extra does not work.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = "Angela Merkel met Tim Cook in New York."
USES = {
    "": f"""
from tagger import Tagger
(sentence,) = Tagger.load("en").tag({TEXT!r})
assert [span.text for span in sentence.spans["ner"]] == ["Angela Merkel", "Tim Cook", "New York"]
""",
    "serve": f"""
import json, subprocess, sys, urllib.request
command = [sys.executable, "-m", "tagger", "serve", "--port", "0"]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
    address = server.stderr.readline().split()[-1]
    body = json.dumps({{"text": {TEXT!r}}}).encode()
    with urllib.request.urlopen(f"{{address}}/tag", body) as answer:
        (sentence,) = json.load(answer)["sentences"]
    server.terminate()
    assert server.wait(30) == 0
assert [span["label"] for span in sentence["spans"]["ner"]] == ["PER", "PER", "LOC"]
""",
    "spacy": f"""
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("bilstm_crf", config={{"model": "en"}})
assert [entity.label_ for entity in nlp({TEXT!r}).ents] == ["PER", "PER", "LOC"]
""",
    "presidio": f"""
from tagger.integrations.presidio_recognizer import TaggerRecognizer
found = TaggerRecognizer(model="en").analyze({TEXT!r}, ["PERSON"], None)
assert [(one.start, one.end) for one in found] == [(0, 13), (18, 26)]
""",
    "tables": f"""
import subprocess, sys
import pyarrow
from pyarrow import parquet
parquet.write_table(pyarrow.table({{"body": [{TEXT!r}, None]}}), "in.parquet")
command = [sys.executable, "-m", "tagger", "tag", "in.parquet", "--text-column", "body"]
subprocess.run([*command, "--output", "out.parquet"], check=True)
spans, nothing = parquet.read_table("out.parquet")["spans"].to_pylist()
assert [span["label"] for span in spans] == ["PER", "PER", "LOC"] and nothing is None
""",
    "annotate": """
import subprocess, sys, urllib.request
with open("in.conll", "w") as file:
    file.write("Ada B-PER\\nsleeps O\\n")
subprocess.run([sys.executable, "-m", "tagger", "convert", "in.conll", "case.db"], check=True)
command = [sys.executable, "-m", "tagger", "annotate", "--project", "case.db", "--port", "0"]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
    address = server.stderr.readline().split()[-1]
    with urllib.request.urlopen(address) as page:
        assert b"annotate" in page.read()
    server.terminate()
    assert server.wait(30) == 0
""",
    "ray": f"""
import json, subprocess, sys
with open("in.jsonl", "w") as file:
    file.write(json.dumps({{"body": {TEXT!r}}}))
command = [sys.executable, "-m", "tagger", "bulk", "in.jsonl", "--text-column", "body", "--output", "out"]
subprocess.run([*command, "--engine", "ray"], check=True)
with open("out/part-000000.jsonl") as file:
    spans = json.load(file)["spans"]
assert [span["label"] for span in spans] == ["PER", "PER", "LOC"]
""",
}
"""Code that uses an extra, by extra; the empty one is the package without extras."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="by default, all")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    arguments = parser.parse_args()
    failed = [extra for extra in arguments.extras or USES if not check(extra, arguments.constraints)]
    sys.exit(1 if failed else 0)


def check(extra: str, constraints: Path) -> bool:
    """Install an extra in a fresh environment and use it; print and return True if it works."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        package = f"{ROOT}[{extra}]" if extra else str(ROOT)
        install = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "-c",
            constraints,
            package,
            ROOT / "tagger" / "models",
        ]
        done = all(
            subprocess.run(command, cwd=folder, check=False).returncode == 0
            for command in (install, [python, "-c", USES[extra]])
        )
        print(f"{extra or 'no extra'}: {'works' if done else 'FAILED'}", flush=True)
        return done


if __name__ == "__main__":
    main()
