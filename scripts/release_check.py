"""Build both distributions of the last commit as a release does, and check them; dist/ has the result.

    python scripts/release_check.py [--tag v0.1.0] [--output dist]

Needs a package index and the tools of scripts/release_requirements.txt, which `make release-check` installs.
With --tag, the tag, the version of the code and the first heading of CHANGELOG.md must agree.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
ZIP_START = 315_532_800  # 1980-01-01, the earliest time of a zip archive


@dataclass(frozen=True)
class Project:
    """A distribution of this repository.

    Attributes:
        name: The name in file names.
        folder: The folder of its pyproject.toml.
        package: Its folder in the wheel.
        source: The folder of that package in the repository.
        without: A folder of the source that the wheel leaves out.
        bytes: The maximum size of the wheel.
    """

    name: str
    folder: str
    package: str
    source: str
    without: str
    bytes: int


CODE = Project("bilstm_tagger", ".", "tagger", "tagger", "tagger/models", 1_500_000)
MODEL = Project("bilstm_tagger_en", "tagger/models", "bilstm_tagger_en", "tagger/models/en", "", 12_000_000)


class CheckError(Exception):
    """A distribution is not fit for release."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tag", default="", help="the tag to release, as in v0.1.0")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    try:
        check(arguments.tag, arguments.output.resolve())
    except (CheckError, subprocess.CalledProcessError) as error:
        sys.exit(f"release check failed: {error}")


def check(tag: str, output: Path) -> None:
    if tag:
        check_tag(tag)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheels = [build_twice(project, work, output) for project in (CODE, MODEL)]
        run(sys.executable, "-m", "twine", "check", "--strict", *sorted(output.iterdir()))
        python = check_installation(wheels[0], output, work)
        write_sbom(python, wheels[0], work)
        check_runners(wheels[0], output, work)
    for path in sorted(output.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{digest}  {path.name}  {path.stat().st_size:,} bytes")


def check_tag(tag: str) -> None:
    """Compare the tag with the version of the code and with the newest heading of CHANGELOG.md."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "tagger" / "version.py").read_text())
    heading = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    for where, found in (("tagger/version.py", version), ("CHANGELOG.md", heading)):
        if not found or tag != f"v{found[1]}":
            raise CheckError(f"{where}: the version must be that of the tag {tag} (got {found and found[1]})")


def build_twice(project: Project, work: Path, output: Path) -> Path:
    """Build sdist and wheel in two ways that must give the same bytes; return the wheel in the output.

    The first wheel is built from the sdist, the second from the files of the commit, in another folder and
    with other permissions.
    """
    first = build(project, work / f"{project.name}-first", 0o022)
    second = build(project, work / f"{project.name}-second", 0o077, "--sdist", "--wheel")
    if [path.name for path in first] != [path.name for path in second]:
        raise CheckError(f"{project.name}: the builds have different files (got {first} and {second})")
    for one, other in zip(first, second, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise CheckError(f"{one.name}: both builds must have the same bytes")
        shutil.copy(one, output)
    wheel, sdist = sorted(first, key=lambda path: path.suffix != ".whl")
    check_contents(project, wheel, sdist)
    return output / wheel.name


def build(project: Project, folder: Path, umask: int, *options: str) -> list[Path]:
    """Build the files of the last commit in a folder of their own; return the built files by name."""
    source, built = folder / "source", folder / "dist"
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=source, input=archive.stdout, check=True, umask=umask)
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", built]
    epoch = max(int(git("log", "-1", "--format=%ct")), ZIP_START)
    run(*command, source / project.folder, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)})
    return sorted(built.iterdir())


def check_contents(project: Project, wheel: Path, sdist: Path) -> None:
    """Compare the files of wheel and sdist with those of the commit."""
    committed = set(git("ls-files").splitlines())
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    under = PurePosixPath(project.source)
    files = {PurePosixPath(name) for name in committed if PurePosixPath(name).is_relative_to(under)}
    expected = {
        str(project.package / path.relative_to(under))
        for path in files
        if not (project.without and path.is_relative_to(project.without))
    }
    if inside != expected:
        raise CheckError(f"{wheel.name}: the wheel must have the committed files (got {inside ^ expected})")
    if sum(name.endswith(".dist-info/licenses/LICENSE") for name in names) != 1:
        raise CheckError(f"{wheel.name}: the wheel must have one licence file")
    if wheel.stat().st_size > project.bytes:
        raise CheckError(f"{wheel.name}: the wheel must have at most {project.bytes:,} bytes")
    with tarfile.open(sdist) as archive:
        paths = [PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()]
    strays = (
        {str(project.folder / path) for path in paths}
        - committed
        - {str(PurePosixPath(project.folder, "PKG-INFO"))}
    )
    strays.discard(str(PurePosixPath(project.folder, ".gitignore")))  # hatchling adds that of the repository
    if strays:
        raise CheckError(f"{sdist.name}: the sdist must have committed files only (got {strays})")


def check_installation(wheel: Path, output: Path, work: Path) -> Path:
    """Install code, then model in an empty environment and run README's first examples; return its python."""
    venv.create(work / "venv")  # without pip, which is no part of an installation
    python = work / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    install = [*pip, "install", "--quiet", "-c", CONSTRAINTS, "--find-links", output]
    empty = work / "empty"
    empty.mkdir()
    run(*install, wheel)
    alone = subprocess.run(
        [python, "-m", "tagger", "tag", "--text", "Ada sleeps."], cwd=empty, capture_output=True, text=True
    )
    if alone.returncode != 2 or "extra `en`" not in alone.stderr:
        raise CheckError(f"{wheel.name}: without a model, `tagger tag` must name the extra (got {alone})")
    run(*install, f"{wheel}[en]")
    run(*pip, "check")
    on_path = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    command, shown, code, result = read_examples()
    compare("README's first command", run("bash", "-c", command, cwd=empty, env=on_path), shown)
    compare("README's first Python example", run(python, "-c", code, cwd=empty), result)
    return python


def read_examples() -> tuple[str, str, str, str]:
    """Return README's first command with its output, and its first Python example with its output."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    console = re.search(r"^```console\n\$ (.+?)\n(.+?)^```", readme, re.MULTILINE | re.DOTALL)
    python = re.search(r"^```python\n(.+?)^```\n```text\n(.+?)^```", readme, re.MULTILINE | re.DOTALL)
    if not console or not python:
        raise CheckError("README.md: a console example and a python example with its text must come first")
    return (*console.groups(), *python.groups())


def compare(what: str, printed: str, shown: str) -> None:
    if printed != shown:
        raise CheckError(f"{what} must print {shown!r} (got {printed!r})")


def write_sbom(python: Path, wheel: Path, work: Path) -> None:
    """Write the packages of an installation with the tested versions, as CycloneDX, next to the wheel."""
    name, version, *_ = wheel.name.split("-")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    static = project.replace('dynamic = ["version"]', f'version = "{version}"')  # the tool reads no other
    (work / "pyproject.toml").write_text(static, encoding="utf-8")
    path = wheel.with_name(f"{name}-{version}.cdx.json")
    options = ["--output-reproducible", "--pyproject", work / "pyproject.toml", "--validate", "-o", path]
    epoch = {**os.environ, "SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct").strip()}
    run(sys.executable, "-m", "cyclonedx_py", "environment", *options, python, env=epoch)
    if json.loads(path.read_text(encoding="utf-8"))["metadata"]["component"].get("version") != version:
        raise CheckError(f"{path.name}: the component must have the version {version}")


def check_runners(wheel: Path, output: Path, work: Path) -> None:
    """Tag a text without an installation, with uvx and with pipx."""
    command, shown, *_ = read_examples()
    links, package = f"--find-links={output}", f"{wheel}[en]"
    tools = {
        **os.environ,
        "PIPX_HOME": str(work / "pipx"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    lines = {
        "uvx": f"uvx --quiet --python '{sys.executable}' {links} --from '{package}'",
        "pipx": f"pipx run --quiet --pip-args='{links}' --spec '{package}'",
    }
    for name, line in lines.items():
        compare(name, run("bash", "-c", f"{line} {command}", cwd=work / "empty", env=tools), shown)


def git(*words: str) -> str:
    return run("git", *words, cwd=ROOT)


def run(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; return what it prints, and print its errors if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise CheckError(
            f"`{' '.join(words)}` exited with code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


if __name__ == "__main__":
    main()
