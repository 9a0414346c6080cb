"""Optional libraries: late, and with what to do where they are missing or broken."""

import subprocess
import sys

import pytest

from semiseg.errors import SemisegError
from semiseg.runtime.extras import first_line, require


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder on the path for modules of our own, which are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def test_what_is_there_is_given(modules):
    (modules / "extra_library.py").write_text("ANSWER = 42")
    assert require("extra_library", "any", "network.backbone=any").ANSWER == 42


def test_what_is_missing_names_the_extra():
    with pytest.raises(SemisegError) as caught:
        require("no_such_library", "any", "network.backbone=any")
    assert str(caught.value) == (
        'network.backbone=any needs no_such_library, which is not installed; run pip install "semiseg[any]"'
    )


def test_what_a_library_misses_is_named(modules):
    (modules / "half_installed.py").write_text("import no_such_library.inner")
    with pytest.raises(SemisegError, match="needs no_such_library, which is not installed"):
        require("half_installed", "any", "network.backbone=any")


@pytest.mark.parametrize("error", ["RuntimeError", "ImportError", "AttributeError"])
def test_a_library_that_breaks_at_import_says_why_in_one_line(modules, error):
    (modules / "broken.py").write_text(f"raise {error}('operator torchvision::nms does not exist\\nmore')")
    with pytest.raises(
        SemisegError, match=r"broken, whose import fails \(operator torchvision::nms does not"
    ) as caught:
        require("broken", "any", "network.backbone=any")
    assert "torchvision that belongs to your torch" in str(caught.value) and "\n" not in str(caught.value)


def test_torchvision_is_not_blamed_for_what_another_library_does(modules):
    (modules / "broken_too.py").write_text("raise RuntimeError('no display')")
    with pytest.raises(SemisegError) as caught:
        require("broken_too", "app", "semiseg app")
    assert "torchvision" not in str(caught.value)
    assert 'pip install --force-reinstall "semiseg[app]"' in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [(ValueError("\none\ntwo"), "one"), (AssertionError(), "AssertionError"), (OSError(" "), "OSError")],
)
def test_one_line_of_an_error(error, said):
    assert first_line(error) == said


def test_networks_import_none_of_them():
    code = "import sys, semiseg.networks; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "semiseg.networks.backbones.dinov2" in found
    assert not {"timm", "transformers", "torchvision", "safetensors"} & set(found)
