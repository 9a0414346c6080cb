"""What all methods share: the contract, the step, the views and the settings that several have."""

from semiseg.methods.base.averaged import Averaged
from semiseg.methods.base.cost import StepCost
from semiseg.methods.base.method import Method
from semiseg.methods.base.projected import Projected
from semiseg.methods.base.settings import Pseudo, Weights
from semiseg.methods.base.step import Batch, Needs, ParameterGroup, Round, Step, StoredVectors
from semiseg.methods.base.survey import Survey
from semiseg.methods.base.views import LabelledView, Views
from semiseg.networks.output import probabilities

__all__ = [
    "Averaged",
    "Batch",
    "LabelledView",
    "Method",
    "Needs",
    "ParameterGroup",
    "Projected",
    "Pseudo",
    "Round",
    "Step",
    "StepCost",
    "StoredVectors",
    "Survey",
    "Views",
    "Weights",
    "probabilities",
]
