"""What people type from other tools, ``epochs=100`` or ``--batch-size 8``, answered with what it is called here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from semiseg.errors import UsageError, did_you_mean
from semiseg.runtime.shell import command_line

Answer = Callable[[str], str]
"""From the value that was given, empty where there was none, to what to write instead."""


def _as(key: str, note: str = "") -> Answer:
    return lambda value: f"write {key}={value or 'VALUE'}" + (f" ({note})" if note else "")


def _text(answer: str) -> Answer:
    return lambda value: answer


def _epochs(value: str) -> str:
    return "a run is counted in steps, not in epochs: training.iterations=3000, each of training.batch_size crops"


def _device(value: str) -> str:
    if value.isdigit():
        return f"write training.device=cuda:{value}"
    if "," in value:
        count = value.count(",") + 1
        return f"several GPUs are several processes: semiseg torchrun --nproc-per-node {count} train FOLDER"
    return f"write training.device={value or 'cuda:0'}"


def _size(value: str) -> str:
    side = value or "VALUE"
    return f"write data.crop={side} for the side of the training crops, data.resize={side} for that of the images"


def _folder(value: str) -> str:
    return f"the data comes first: {command_line(['semiseg', 'train', Path(value or 'FOLDER')])}"


def _network(value: str) -> str:
    return (
        f"write network.backbone={value or 'NAME'} and network.architecture=deeplabv3plus; `semiseg settings network`"
    )


def _where(value: str) -> str:
    return f"write run_dir=runs/{value or 'NAME'}"


_NAMES: tuple[tuple[str, Answer], ...] = (
    ("epochs epoch max_epochs num_epochs n_epochs num_train_epochs", _epochs),
    ("steps max_steps iters max_iters num_steps iterations", _as("training.iterations")),
    ("batch batch_size batchsize bs train_batch_size", _as("training.batch_size", "labelled crops a step")),
    ("lr lr0 base_lr learning_rate", _as("training.learning_rate")),
    ("imgsz img img_size image_size input_size size crop crop_size patch_size resolution", _size),
    ("device devices gpu gpus accelerator cuda", _device),
    ("workers num_workers", _as("data.workers")),
    ("optimizer optim optimiser", _as("training.optimizer", "sgd or adamw")),
    ("amp half fp16 bf16 precision mixed_precision", _text("write training.precision=bf16, fp16 (GPU) or fp32")),
    ("resume resume_from auto_resume ckpt ckpt_path checkpoint", _text("write semiseg train RUN --resume")),
    ("name project exp exp_name experiment save_dir output_dir work_dir out_dir out output log_dir", _where),
    ("exist_ok overwrite", _text("nothing is overwritten: runs without run_dir= are numbered")),
    ("data dataset data_dir data_path data_root root source images", _folder),
    ("model encoder encoder_name backbone arch architecture network net", _network),
    ("weights pretrained encoder_weights", _as("network.pretrained")),
    ("nc num_classes classes n_classes names",
     _text("classes are those of the masks; their names go into dataset.yaml (classes: [a, b])")),
    ("patience early_stopping", _text("nothing stops a run early: the best checkpoint is kept beside the last")),
    ("method algorithm", _as("method.name")),
    ("verbose silent", _text("write --quiet for less")),
    ("val_interval eval_interval check_val_every_n_epoch", _as("training.validate_every", "steps")),
    ("save_period save_interval save_every", _as("training.checkpoint_every", "steps")),
    ("fraction label_ratio labeled num_labels", _as("data.labelled")),
    ("seed", _as("training.seed")),
    ("deterministic", _as("training.deterministic")),
    ("weight_decay", _as("training.weight_decay")),
    ("momentum", _as("training.momentum")),
    ("cache", _as("data.cache")),
    ("val", _text("every run validates on its own; the folder says on which images (images/val, masks/val)")),
)  # fmt: skip
ANSWERS = {name: told for names, told in _NAMES for name in names.split()}
"""By the key's last part in small letters, ``-`` as ``_``."""


def answer(key: str, value: str = "") -> str | None:
    """What to write in place of ``key=value``, or None for a key that no other tool is known to have.

    Args:
        key: as typed, with or without ``--`` or a section: ``epochs``, ``--batch-size``, ``training.epochs``.
        value: as typed.
    """
    found = ANSWERS.get(key.lstrip("-").rpartition(".")[2].lower().replace("-", "_"))
    return None if found is None else found(value)


def refuse_options(words: Sequence[str], known: Sequence[str]) -> None:
    """Answer options that a command does not have, such as ``--epochs 100`` among its words.

    Args:
        words: as typed.
        known: the options that there are.

    Raises:
        UsageError: there is one.
    """
    for i, word in enumerate(words):
        if not word.startswith("-") or word == "-":
            continue
        option, equals, value = word.partition("=")
        following = words[i + 1] if i + 1 < len(words) else ""
        if not equals and not following.startswith("-") and "=" not in following:
            value = following
        told = answer(option, value)
        hint = f"; {told}" if told is not None else did_you_mean(option, known)
        raise UsageError(f"no option {option}{hint or '; settings are section.key=value words (semiseg settings)'}")
