import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from semiseg.derived import Facts, derive, save, show, stored

Make = Callable[..., Facts]


@pytest.mark.parametrize("kinds", [("photos",), ("tiny", "cuda"), ("photos", "small_cuda"), ("nuclei",)])
@pytest.mark.parametrize("columns", [80, 60])
def test_the_table_fits_with_every_word(facts: Make, kinds: tuple[str, ...], columns: int) -> None:
    made = facts(*kinds, finest_class="[b]a class with a name[/b]", finest_width=0.001)
    rows, output = derive(made), io.StringIO()
    show(rows, Console(file=output, width=columns))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= columns and "…" not in output.getvalue()
    text = " ".join(" ".join(line.strip("│").split("│")[-1] for line in lines if line.startswith("│")).split())
    for row in rows:
        assert row.reason in text and any(row.setting in line and row.text in line for line in lines)


def test_it_goes_to_stderr(facts: Make, capsys: pytest.CaptureFixture[str]) -> None:
    show(derive(facts()))
    written = capsys.readouterr()
    assert written.out == "" and "data.crop" in written.err


def test_rows_are_stored_beside_a_run(facts: Make, tmp_path: Path) -> None:
    rows = derive(facts("photos"), {"data.crop": (64, 96)})
    assert stored(tmp_path) == []
    save(tmp_path, rows)
    assert [row.text for row in stored(tmp_path)] == [row.text for row in rows]
    assert [(row.setting, row.reason) for row in stored(tmp_path)] == [(row.setting, row.reason) for row in rows]


def test_sizes_of_a_folder(facts: Make) -> None:
    assert facts("photos").sizes == "4000×3000 to 3000×4000" and facts("tiny").sizes == "64×64"
