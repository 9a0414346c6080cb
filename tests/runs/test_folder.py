from pathlib import Path

import pytest

from semiseg.runs.folder import claim, is_run, latest, named, numbers


def run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").touch()
    return path


def test_numbers_go_on_and_nothing_is_taken_twice(tmp_path: Path) -> None:
    base = tmp_path / "runs" / "photos"
    assert [claim(base) for _ in range(3)] == [1, 2, 3]
    assert sorted(path.name for path in base.parent.iterdir()) == ["photos", "photos-2", "photos-3"]
    named(base, 1).rmdir()
    assert claim(base) == 4, "the highest stays the last one"
    for name in ("photos-x", "photos-07", "photos-2-2", "other-9"):
        (base.parent / name).mkdir()
    assert numbers(base) == [2, 3, 4]


def test_two_that_claim_at_once_get_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, mkdir = tmp_path / "photos", Path.mkdir

    def another_was_first(path: Path, **options: bool) -> None:
        monkeypatch.setattr(Path, "mkdir", mkdir)
        path.mkdir()
        raise FileExistsError

    monkeypatch.setattr(Path, "mkdir", another_was_first)
    assert claim(base) == 2


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(OSError, match="runs"):
        claim(tmp_path / "runs" / "photos")


def test_the_last_run_is_the_one_with_the_highest_number(tmp_path: Path) -> None:
    base = tmp_path / "photos"
    assert latest(base, lambda _: True) is None
    for number in (1, 2, 10):
        run(named(base, number))
    (tmp_path / "photos-11").mkdir()  # no run
    assert latest(base, lambda _: True) == tmp_path / "photos-10"
    assert latest(base, lambda path: path.name != "photos-10") == tmp_path / "photos-2"
    assert latest(base, lambda _: False) is None


def test_a_data_set_is_no_run(tmp_path: Path) -> None:
    assert is_run(run(tmp_path / "run")) and not is_run(tmp_path)
    (run(tmp_path / "photos") / "images").mkdir()
    assert not is_run(tmp_path / "photos")
