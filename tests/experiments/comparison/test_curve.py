"""mIoU over the time that a run spent on its steps."""

from semiseg.experiments.comparison import curve


def test_the_training_clock_leaves_validations_out_and_goes_on_after_a_resume() -> None:
    def train(iteration: int, speed: float) -> dict[str, object]:
        return {"kind": "train", "iteration": iteration, "images_per_second": speed}

    def validation(iteration: int, miou: float) -> dict[str, object]:
        return {"kind": "validation", "iteration": iteration, "miou": miou}

    metrics = [train(10, 4.0), train(15, 2.0), validation(15, 30.0), {"kind": "pseudo_labels", "iteration": 15}]
    metrics += [train(20, 4.0), validation(20, 40.0)]
    assert curve.curve(metrics, 4) == [[20.0, 15, 30.0], [25.0, 20, 40.0]]
    assert curve.schedule(1927)[1] == "training.validate_every=193" and curve.schedule(2)[2].endswith("=1")
