"""Writes the golden values that the tests read: see README.md. Needs Keras, JAX, PyTorch and safetensors:

    bench/compare.py --install     # makes a virtual environment with the peers, outside the tree
    PYTHON tests/golden/make_golden.py [GROUP...]      # PYTHON: the one that compare.py names at the end
"""

import importlib
import sys

import golden  # noqa: F401  before anything else imports keras: it chooses the backend and float64

GROUPS = ["dropout", "layers", "losses", "mask_flow", "masked", "optimizers", "recurrent", "sequences", "stateful", "text", "training"]


def main():
    for group in sys.argv[1:] or GROUPS:
        for family in importlib.import_module(group).FAMILIES:
            family()


if __name__ == "__main__":
    main()
