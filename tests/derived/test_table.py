import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from semiseg.derived import Facts, derive, save, show, stored

Make = Callable[..., Facts]


@pytest.mark.parametrize("kinds", [("photos",), ("tiny", "cuda"), ("photos", "small_cuda"), ("nuclei",)])
def test_the_table_fits_eighty_columns_with_every_word(facts: Make, kinds: tuple[str, ...]) -> None:
    made = facts(*kinds, finest_class="[b]a class with a name[/b]", finest_width=0.001)
    rows, output = derive(made), io.StringIO()
    show(made, rows, Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in output.getvalue()
    text = " ".join(" ".join(line.strip("│").split("│")[-1] for line in lines if line.startswith("│")).split())
    for row in rows:
        assert row.reason in text and any(row.setting in line and row.text in line for line in lines)
    assert f"{made.labelled} images with masks and {made.unlabelled} without" in " ".join(output.getvalue().split())


def test_it_goes_to_stderr(facts: Make, capsys: pytest.CaptureFixture[str]) -> None:
    show(facts(), derive(facts()))
    written = capsys.readouterr()
    assert written.out == "" and "data.crop" in written.err


def test_rows_are_stored_beside_a_run(facts: Make, tmp_path: Path) -> None:
    rows = derive(facts("photos"), {"data.crop": (64, 96)})
    assert stored(tmp_path) == []
    save(tmp_path, rows)
    assert [row.text for row in stored(tmp_path)] == [row.text for row in rows]
    assert [(row.setting, row.reason) for row in stored(tmp_path)] == [(row.setting, row.reason) for row in rows]


def test_facts_in_a_line(facts: Make) -> None:
    assert str(facts("photos")) == (
        "12 images with masks and 28 without to train on, 3 to validate; 4000×3000 to 3000×4000 pixels, 3 classes; cpu"
    )
    assert str(facts("tiny", "cuda")).endswith("; 64×64 pixels, 3 classes; 80 GiB of cuda")
