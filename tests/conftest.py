"""Shared by all tests. Shapes of DIPNet's tensors are checked at every call while tests run."""

import os

import torch
from jaxtyping import install_import_hook

install_import_hook(
    ["dipnet.identity", "dipnet.propagation", "dipnet.segmentation", "dipnet.samples"], "beartype.beartype"
)
# Ray's libraries read this once in a process, so clusters of tests and runs of their own must agree.
os.environ["RAY_AUTH_MODE"] = "disabled"
# The networks of the tests are too small to share among threads.
torch.set_num_threads(1)
