"""One sentence for each validation: where the run stands, why, and whether more time would help."""

from __future__ import annotations

from semiseg.training.advice.circumstances import Circumstances
from semiseg.training.advice.history import History, Validation
from semiseg.training.advice.noise import chance, sigma
from semiseg.training.advice.trend import WINDOW, Trend, change, trend
from semiseg.training.advice.unlabelled import few, percent, teacher, unlabelled

LONGEST = 145
"""Characters; with ``150000/150000: `` in front a line keeps below 160."""
UNLEARNT = 0.5
"""Share of its first value that the training loss of a run that learns does not keep: 120 steps on toy streets, far too
few for an end, brought it to 0.45."""
LABELS_WORSE = 0.02
"""Loss of accuracy of the pseudo-labels that is told. They are counted on the same images at every validation."""
MASKS = "more masks would help more than more time"


def sentence(history: History, run: Circumstances) -> str:
    """What the numbers say, in one line of at most ``LONGEST`` characters; later clauses go where they do not fit."""
    words = _standing(history)
    joint = ": "
    for clause in (_verdict(history, run), few(history, run), teacher(history), unlabelled(history, run)):
        if clause and len(words) + len(joint) + len(clause) <= LONGEST:
            words, joint = words + joint + clause, "; "
    return words


def _standing(history: History) -> str:
    """``mIoU 58.2 (-2.1 from its best at 400)``, or the change since the last validation where this is the best.

    Differences are those of the figures as shown: 58.2 is not below 58.2.
    """
    last, best = history.last, history.best
    words = f"mIoU {last.miou:.1f}"
    if last is not best:
        if round(best.miou - last.miou, 1) == 0:
            return f"{words} (level with its best at {best.iteration})"
        return f"{words} ({last.miou - best.miou:+.1f} from its best at {best.iteration})"
    if len(history.validations) == 1:
        return words
    return f"{words} ({last.miou - history.validations[-2].miou:+.1f})"


def _verdict(history: History, run: Circumstances) -> str:
    error = sigma(history.curve, run.images)
    ends = history.last.iteration >= run.iterations
    direction = trend(history.curve, error)
    if direction is Trend.EARLY:
        if len(history.validations) == 1:
            plural = "s" if run.images > 1 else ""
            below = f"changes of this network below about {chance(error):.0f} points are chance"
            return f"with {run.images} validation image{plural}, {below}"
        return "too few validations to call a trend" if ends else "too early to call a trend"
    # What comes next is no more of the same, or should not be: no cause is named but that.
    bare = run.waits(history.last.iteration) or bool(few(history, run))
    if direction is Trend.RISING:
        words = "still rising" if history.last is history.best else "rising on the whole"
        return f"{words}, so that more steps would probably help" if ends and not bare else words
    if bare:
        return "no gain beyond chance" if direction is Trend.FLAT else "falling"
    return _why_flat(history, run, error) if direction is Trend.FLAT else _why_falling(history, run)


def _loss(then: Validation, now: Validation, run: Circumstances) -> Trend | None:
    """Where the training loss went; None where that is not known, or unlabelled images joined in meanwhile: rates and
    batches are others then, and it may have been the sum over two networks."""
    joined = run.waits(then.iteration) and not run.waits(now.iteration)
    return None if joined else change(then.loss, now.loss)


def _why_flat(history: History, run: Circumstances, error: float) -> str:
    then, now = history.validations[-WINDOW:][0], history.last
    loss, ends = _loss(then, now, run), now.iteration >= run.iterations
    if loss is Trend.FALLING:
        return f"no gain beyond chance while the training loss falls: {MASKS}"
    words = f"no gain beyond chance ({chance(error):.0f} points)"
    if loss is Trend.FLAT and now.loss is not None and history.first_loss:
        kept = now.loss / history.first_loss
        if kept > UNLEARNT:
            return (
                f"no gain beyond chance, the training loss at {percent(kept)} of its first: try a higher learning rate"
            )
        words += ", nor in the training loss" + (": more steps alone would hardly help" if ends else "")
    return words


def _why_falling(history: History, run: Circumstances) -> str:
    best, now = history.best, history.last
    before, after = best.quality.get("accuracy"), now.quality.get("accuracy")
    if before is not None and after is not None and after < before - LABELS_WORSE:
        return f"falling, and so do the teacher's labels: {percent(before)} were right then, {percent(after)} are now"
    loss = _loss(best, now, run)
    if loss is Trend.FALLING:
        return f"the network now learns {run.masks} by heart; {MASKS}"
    if loss is None:
        return "falling"
    return "falling, and the training loss falls no more: try a lower learning rate"
