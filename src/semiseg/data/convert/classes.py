"""Which label gets which number and colour."""

from __future__ import annotations

from collections.abc import Sequence

from semiseg.data.base import IGNORE, Colour, default_colours
from semiseg.data.convert.colour import OTHER
from semiseg.data.convert.export import BACKGROUND, IGNORED, Export
from semiseg.errors import SemisegError, UsageError

IGNORE_WORD = "ignore"


def number_classes(
    export: Export, order: Sequence[str] | None, background: str, others: str
) -> tuple[list[str], dict[str, int], int]:
    """Names in the order of their numbers, number by label, and the number of pixels in no region.

    The background comes first unless ``order``, or the export, places it. Labels that mean "ignored" get 255, and so
    do, or as the background do, labels that ``order`` lacks.

    Raises:
        UsageError: a name twice, an unknown word, or labels that ``order`` lacks.
        SemisegError: fewer than two classes, or more than a mask can hold.
    """
    if others not in ("error", "background", IGNORE_WORD):
        raise UsageError(f"--others {others!r}: choose error, background or ignore")
    if export.blank is not None and background == "background":
        background = export.blank
    used = {label for picture in export.pictures if picture.truth for label in picture.truth.labels()}
    special = {IGNORED, BACKGROUND, OTHER}
    given = list(order) if order is not None else [name for name in export.classes if name not in special]
    if len(set(given)) < len(given) or "" in given:
        raise UsageError(f"--classes {','.join(given)}: name every class once")
    ignored = background == IGNORE_WORD
    wanted = not export.full or BACKGROUND in used or others == "background"
    names = given if ignored or not wanted or background in given else [background, *given]
    blank = names.index(background) if not ignored and background in names else IGNORE
    number = {name: i for i, name in enumerate(names)} | {IGNORED: IGNORE, BACKGROUND: blank}
    unlisted = sorted(used - set(number) - {OTHER})
    if unlisted and others == "error":
        raise UsageError(
            f"{len(unlisted)} labels are not among --classes: {', '.join(unlisted[:5])}; add them, or --others ignore"
        )
    rest = blank if others == "background" else IGNORE
    number |= dict.fromkeys([*unlisted, OTHER], rest)
    if not 2 <= len(names) <= IGNORE:
        raise SemisegError(
            f"{len(names)} classes ({', '.join(names[:5]) or 'none'}): a mask tells 2 to {IGNORE} apart; give a "
            "--background name, or other --classes"
        )
    return names, number, blank


def class_colours(names: Sequence[str], given: dict[str, Colour]) -> list[Colour]:
    """The colours that came with the export, and distinct ones for the other classes."""
    free = (colour for colour in default_colours(2 * IGNORE) if colour not in set(given.values()))
    return [given[name] if name in given else next(free) for name in names]
