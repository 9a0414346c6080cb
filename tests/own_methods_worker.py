"""Train each configuration file in float64; run by test_own_methods.py in one process, and in each of two.

python own_methods_worker.py CONFIG.yaml [CONFIG.yaml ...]
"""

import sys

import torch

from semiseg import Config, train
from semiseg.runtime import distributed

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # the networks' own; images are promoted
    for path in sys.argv[1:]:
        train(Config.load(path), progress=False)
    distributed.stop()
