#!/usr/bin/env python3
"""What CONTRIBUTING.md promises of the tree: includes only point down, kernels know nothing of src/, a kernel starts in
launch.cuh alone, and public headers need no other library's. Exit status 1 with a line for each breach.

    structure_test.py ROOT
"""

import pathlib
import re
import sys

BELOW = {  # what a folder of src/ may include beside itself
    "core": [],
    "memory": ["core"],
    "ir": ["memory", "core"],
    "ops": ["ir", "memory", "core"],
    "cpu": ["ops", "ir", "memory", "core", "kernels"],
    "cuda": ["ops", "ir", "memory", "core", "kernels"],
    "graph": ["cpu", "cuda", "ops", "ir", "memory", "core"],
    "io": ["cpu", "ir", "memory", "core"],
    "nn": ["graph", "ops", "ir", "memory", "core"],
    "train": ["nn", "io", "graph", "ops", "ir", "memory", "core"],
    "kernels": [],
}
FOREIGN = re.compile(r"#include [<\"](cuda|cublas|cudnn|cub/|thrust/|nvtx|dnnl|oneapi/|spdlog/|fmt/|nlohmann/)")
INCLUDE = re.compile(r"#include \"(src/\w+|kernels)/")


def folder_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" else parts[0]


def breaches(files):
    """The lines that should not be there, of {path: text}."""
    found = []
    for path, text in sorted(files.items()):
        folder = folder_of(path)
        for number, line in enumerate(text.splitlines(), 1):
            where = f"{path}:{number}: {line.strip()}"
            include = INCLUDE.match(line)
            if include:
                target = folder_of(include.group(1) + "/")
                if folder == "include" or (target != folder and target not in BELOW[folder]):
                    found.append(f"{where}  ({folder} may not include {target})")
            if folder == "include" and FOREIGN.match(line):
                found.append(f"{where}  (a public header includes another library's)")
            if "<<<" in line.split("//")[0] and path != "kernels/launch.cuh" and folder in ("kernels", "cuda"):
                found.append(f"{where}  (kernels start in kernels/launch.cuh alone)")
    return found


def test_itself():
    wrong = {
        "src/core/a.hpp": '#include "src/ir/graph.hpp"',
        "src/ops/a.cpp": '#include "src/cpu/registry.hpp"',
        "kernels/a.cu": '#include "src/core/text.hpp"',
        "kernels/b.cu": "kernel<<<1, 2>>>();",
        "include/gpunn/a.hpp": "#include <cuda_runtime.h>",
        "include/gpunn/b.hpp": '#include "src/core/text.hpp"',
    }
    right = {
        "src/cuda/a.cpp": '#include "kernels/gemm.hpp"\n#include "src/cuda/b.hpp"',
        "src/train/a.cpp": '#include "src/nn/layer.hpp"\n// <<<',
        "kernels/launch.cuh": "kernel<<<1, 2>>>();",
        "include/gpunn/a.hpp": '#include "gpunn/shape.hpp"\n#include <cstdint>',
    }
    for path, text in wrong.items():
        assert len(breaches({path: text})) == 1, path
    assert breaches(right) == []


def main():
    test_itself()
    root = pathlib.Path(sys.argv[1])
    paths = [p for top in ("src", "kernels", "include") for p in (root / top).rglob("*")
             if p.suffix in (".hpp", ".cpp", ".cu", ".cuh")]
    found = breaches({str(p.relative_to(root)): p.read_text() for p in paths})
    print("\n".join(found) or f"{len(paths)} files as they should be")
    sys.exit(1 if found or len(paths) < 100 else 0)


if __name__ == "__main__":
    main()
