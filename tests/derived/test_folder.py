from pathlib import Path

import pytest
from conftest import write_picture

from semiseg import Config
from semiseg.cost.run import count_run
from semiseg.data.run_data import open_run_data
from semiseg.derived import as_trained


@pytest.mark.parametrize(
    ("words", "batch", "together"),
    [
        (["method.name=supervised"], 8, 8),
        (["method.name=fixmatch"], 4, 8),
        (["method.name=memory_bank"], 4, 12),
        (["method.name=memory_bank", "training.passes=in_turn"], 8, 24),
        (["method.name=supervised", "training.batch_size=3"], 3, 3),
    ],
)
def test_a_method_and_supervised_pass_as_many_crops_through_batch_norm(
    tmp_path: Path, words: list[str], batch: int, together: int
) -> None:
    for i in range(6):
        write_picture(tmp_path, f"photo{i}", i, mask=i < 5)
    words = ["training.device=cpu", *words]
    config = as_trained(tmp_path, words, open_run_data(Config.load(tmp_path, words).data))
    assert config.training.batch_size == batch
    assert count_run(config, 3).crops == together
