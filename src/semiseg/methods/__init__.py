"""Methods: what one training step does. Each file here is one method; installed packages add theirs by entry points."""

from semiseg.methods.base import Batch, Method, Needs, Step
from semiseg.runtime.plugins import method_class, method_names

__all__ = ["Batch", "Method", "Needs", "Step", "method_class", "method_names"]
