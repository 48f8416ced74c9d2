#!/usr/bin/env python3
"""Prints the gtest filter of the tests that run a kernel file: those that call what the header of a stem declares, for
every stem that is or includes the file.

    tests_of.py kernels/reduce.cuh   ->   *BatchNormTest.*:*ReduceTest.*
"""

import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
KERNELS = FOLDER.parent.parent / "kernels"


def stems(name):
    """The stems that are the file, or include it in one step or more."""
    files = {path.name: re.findall(r'#include "kernels/([^"]+)"', path.read_text()) for path in KERNELS.glob("*.*[uh]*")}
    reached = {name}
    while more := {file for file, includes in files.items() if reached & set(includes)} - reached:
        reached |= more
    return {pathlib.Path(file).stem for file in reached if file.endswith(".cu")}


def header_of(stem):
    """recurrent_weights.cu implements a part of recurrent.hpp."""
    while not (KERNELS / f"{stem}.hpp").exists():
        stem = stem.rpartition("_")[0]
    return f"{stem}.hpp"


def main():
    suites = set()
    for stem in stems(pathlib.Path(sys.argv[1]).name):
        header = header_of(stem)
        called = re.compile(r"\b(" + "|".join(re.findall(r"^\w[\w:<>]* (\w+)\(", (KERNELS / header).read_text(), re.M)) + r")\(")
        for test in FOLDER.glob("*_test.cpp"):
            text = test.read_text()
            if f'#include "kernels/{header}"' not in text:
                continue
            tests = re.findall(r"^TEST.*?^}$", text, re.M | re.S)
            # What stands outside of tests helps all of them.
            helpers = re.sub(r"^TEST.*?^}$", "", text, flags=re.M | re.S)
            suites |= {re.match(r"TEST\w*\((\w+),", t)[1] for t in tests if called.search(t) or called.search(helpers)}
    print(":".join(f"*{suite}.*" for suite in sorted(suites)) or "*")


if __name__ == "__main__":
    main()
