"""How good a network is: confusion matrix and IoU, validation during a run, quality of pseudo-labels."""

from semiseg.evaluation.confusion import EvaluationResult

__all__ = ["EvaluationResult"]
