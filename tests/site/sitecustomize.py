"""For a Python that a test starts: torchvision as in the tests themselves."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import torchvision_operators

torchvision_operators.complete()
