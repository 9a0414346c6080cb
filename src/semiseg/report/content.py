"""Which charts a report has: curves of losses, mIoU and pseudo-labels, and figures by class. All runs share each."""

from __future__ import annotations

from semiseg.report.charts import Chart, Curves, bars, heat_map
from semiseg.report.facts import RunFacts

UNITS = (("hour", 3600.0), ("minute", 60.0), ("second", 1.0))


def loss_charts(runs: list[RunFacts]) -> list[Chart]:
    """One run: its terms in one chart, logarithmic. Several: a chart a term, one line a run."""
    terms = dict.fromkeys(["loss", *(term for run in runs for term in run.terms)])
    present = [term for term in terms if any(term in row for run in runs for row in run.kind("train"))]
    if not present:
        return []
    note = (
        "What training makes smaller: each part of the loss before its weight in the sum, averaged over the steps "
        "between two lines of the log."
    )
    alone = [run.terms for run in runs if len(run.terms) == 1]
    the_loss_itself = alone[0] if len(alone) == len(runs) else ()  # a single term without a weight is the loss
    if len(runs) == 1:
        curves = Curves("loss", "losses", "loss", log=True)
        for number, term in enumerate(present):
            if term in the_loss_itself:
                continue
            # Zero means "not begun" (warm-up) and has no logarithm.
            values = {step: value or None for step, value in _series(runs[0], "train", term).items()}
            curves.add(term if term != "loss" else "loss (sum)", values, number, number)
        return [curves.chart(note=note)]
    charts = []
    for term in present:
        if term in the_loss_itself:
            continue
        curves = Curves(f"loss-{term}", "loss (sum of all terms)" if term == "loss" else f"{term} term", "loss")
        for run in runs:
            if values := _series(run, "train", term):
                curves.add(run.name, values, run.number, run.number)
        charts.append(curves.chart(note=note if term == "loss" else "", wide=term == "loss"))
    return charts


def miou_chart(runs: list[RunFacts]) -> Chart | None:
    """mIoU of the student at every validation, the best one marked, and the teacher at the end; of one run alone the
    teacher at every validation too, where it was measured."""
    curves = Curves("miou", "validation mIoU", "mIoU in %")
    for run in runs:
        if values := _series(run, "validation", "miou"):
            curves.add("student" if len(runs) == 1 else run.name, values, run.number, run.number, markers=True)
    if len(runs) == 1 and (values := _series(runs[0], "validation", "teacher_miou")):
        curves.add("teacher", values, 1, 1, markers=True)
    if not curves.columns:
        return None
    for title, key, symbol in (("best checkpoint", "best", "star"), ("teacher, last", "last_teacher", "diamond-open")):
        points: list[tuple[float, float, str]] = []
        colours = []
        for run in runs:
            score = run.scores.get(key)
            if score is not None and score.miou is not None:
                points.append((score.iteration, score.miou, run.name))
                colours.append(run.number)
        if points:
            curves.points(title, points, symbol, colours)
    note = "The best checkpoint is chosen on the validation set, so its figure flatters."
    return curves.chart(note=note, wide=not any(map(_times, runs)))


def time_chart(runs: list[RunFacts]) -> Chart | None:
    """mIoU of the student over the time that training and validations took; None where no run wrote it down.

    A run that went on from an older version, which wrote none, is drawn from there; one without is named.
    """
    timed = [run for run in runs if _times(run)]
    if not timed:
        return None
    longest = max(max(_times(run)) for run in timed)
    unit, seconds = next(((name, size) for name, size in UNITS if longest >= 2 * size), UNITS[-1])
    curves = Curves("miou-time", "validation mIoU by wall clock", "mIoU in %", over=unit)
    for run in timed:
        values = {float(f"{at / seconds:.4g}"): miou for at, miou in _times(run).items()}
        curves.add("student" if len(runs) == 1 else run.name, values, run.number, run.number, markers=True)
    without = [run.name for run in runs if run not in timed]
    note = "What else ran on the machine counts in it."
    if without:
        note += f" Not written down by {', '.join(without)}."
    return curves.chart(note=note, wide=False)


def _times(run: RunFacts) -> dict[float, float | None]:
    """mIoU in percent by the seconds of its validation, as far as they are known."""
    return {row["seconds"]: row["miou"] for row in run.kind("validation") if "seconds" in row}


def quality_chart(runs: list[RunFacts]) -> Chart | None:
    """Pseudo-label quality: accuracy where hidden masks exist, mean confidence, share above 0.9; in percent.

    Runs older than this measurement show the mean confidence, or share of confident pixels, of their training steps.
    """
    curves = Curves("pseudo-labels", "pseudo-label quality", "% of pixels", limits=(0, 100))
    looked, older = 0, False
    for run in runs:
        kind, names = "pseudo_labels", {"accuracy": "accuracy", "confidence": "confidence", "confident": "above 0.9"}
        if not run.kind(kind):
            kind, names = "train", {"confidence": "confidence (training crops)", "confident": "share that counts"}
        for dash, (key, words) in enumerate(names.items()):
            values = {i: None if v is None else 100 * v for i, v in _series(run, kind, key).items()}
            if any(value is not None for value in values.values()):
                older |= kind == "train"
                label = words if len(runs) == 1 else f"{run.name}: {words}"
                curves.add(label, values, run.number if len(runs) > 1 else dash, dash, markers=kind != "train")
        looked = max([looked, *(row["images"] for row in run.kind("pseudo_labels"))])
    if not curves.columns:
        return None
    notes = []
    if looked:
        notes.append(
            f"Teacher on {looked} unlabelled images, the same at every validation. Accuracy: of the pixels whose mask "
            "was hidden from training. Confidence above accuracy means a teacher that is surer than it is right."
        )
    if older:
        notes.append("Confidence of training crops stands in where a run did not measure the quality.")
    return curves.chart(note=" ".join(notes))


def sureness_charts(runs: list[RunFacts]) -> list[Chart]:
    """Mean confidence of the teacher's pseudo-labels by class at the last validation, and their share of the pixels."""
    charts = []
    last = {run.number: run.kind("pseudo_labels")[-1] for run in runs if run.kind("pseudo_labels")}
    asked = [run for run in runs if run.classes and last.get(run.number, {}).get("class_confidence")]
    for number, group in enumerate(same_classes(asked)):
        columns = {}
        for run in group:
            for key, words in (("class_confidence", "mean confidence"), ("class_share", "share of the pixels")):
                if len(runs) == 1 or key == "class_confidence":
                    label = words if len(runs) == 1 else run.name
                    columns[label] = [None if v is None else 100 * v for v in last[run.number][key]]
        numbers = [run.number for run in group] if len(runs) > 1 else [0, 1]
        note = "Of the watched images, last validation. No bar: the class is never predicted, and so never learnt from."
        charts.append(
            bars(f"sureness-{number}", "pseudo-labels by class", "%", group[0].classes, columns, numbers, note)
        )
    return charts


def class_charts(runs: list[RunFacts]) -> list[Chart]:
    """IoU of the last student by class, for runs with the same classes in one chart."""
    charts = []
    for number, group in enumerate(same_classes([run for run in runs if "last" in run.scores])):
        columns = {run.name if len(runs) > 1 else "student, last": run.scores["last"].iou for run in group}
        numbers = [run.number for run in group]
        charts.append(bars(f"iou-{number}", "IoU by class", "IoU in %", group[0].classes, columns, numbers))
    return charts


def confusion_charts(runs: list[RunFacts]) -> list[Chart]:
    """Confusion matrix of every run's last student."""
    charts = []
    for number, run in enumerate(runs):
        if "last" in run.scores:
            title = "confusion matrix" + (f": {run.name}" if len(runs) > 1 else "")
            charts.append(heat_map(f"confusion-{number}", title, run.classes, run.scores["last"].values["confusion"]))
    return charts


def weight_charts(runs: list[RunFacts]) -> list[Chart]:
    """α_c of eq. 3 by class, from the pixels counted until the last checkpoint."""
    charts = []
    for number, group in enumerate(same_classes([run for run in runs if run.class_weights])):
        off = [run.name for run in group if not run.config.method.class_balance.enabled]
        note = (
            "How much a pixel of each class counts in the loss, the rare ones more: the root of the median share of a "
            "class over its own, among labels and pseudo-labels."
        )
        if off:
            note += f" Counted but not used in {', '.join(off)}: class balance is off."
        columns = {run.name if len(runs) > 1 else "weight": run.class_weights for run in group}
        numbers = [run.number for run in group]
        charts.append(bars(f"weights-{number}", "class weights", "weight", group[0].classes, columns, numbers, note))
    return charts


def same_classes(runs: list[RunFacts]) -> list[list[RunFacts]]:
    """Runs grouped by their classes, in order."""
    groups: dict[tuple[str, ...], list[RunFacts]] = {}
    for run in runs:
        groups.setdefault(run.classes, []).append(run)
    return list(groups.values())


def _series(run: RunFacts, kind: str, key: str) -> dict[float, float | None]:
    return {row["iteration"]: row[key] for row in run.kind(kind) if key in row}
