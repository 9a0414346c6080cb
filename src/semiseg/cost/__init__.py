"""What a training step costs before it is run: FLOPs, parameters and memory."""

from semiseg.cost.step import PAPER, PAPER_TOTAL, Cost, cost, step_memory

__all__ = ["PAPER", "PAPER_TOTAL", "Cost", "cost", "step_memory"]
