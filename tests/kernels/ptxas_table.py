#!/usr/bin/env python3
"""What ptxas makes of every kernel on every architecture: registers, shared memory, spills.

  tests/kernels/ptxas_table.py [--write] [--only ARCHITECTURES] [--jobs N] [--nvcc PATH]

Compiles kernels/*.cu for all architectures (one nvcc call per file, ccache where there is one) and compares the result
with kernels/resources.md; --write writes that file instead. Fails when a kernel spills or uses local memory anywhere,
when a kernel is missing from the table or gone from the sources, or when its registers grew by more than a tenth.
Counts of registers belong to one release of nvcc: with another one only spills are compared.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "kernels" / "resources.md"
ARCHITECTURES = [75, 80, 86, 89, 90, 100, 120]
ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\d+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def compile_file(nvcc, file, architectures, folder):
    """ptxas's report of one file."""
    command = [nvcc, "-std=c++20", "-O3", "--expt-relaxed-constexpr", "-Xptxas", "-v", "-Werror", "all-warnings",
               "-Xcompiler", "-Wall,-Wextra,-Werror", f"-I{ROOT}", f"-I{ROOT}/include",
               "-c", str(file), "-o", str(folder / (file.stem + ".o"))]
    for a in architectures:
        command += ["-gencode", f"arch=compute_{a},code=sm_{a}"]
    if shutil.which("ccache"):
        command.insert(0, "ccache")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "ptxas info" not in line and "stack frame" not in line]
        sys.exit(f"{file.name} does not compile:\n" + "\n".join(lines[:40]))
    return done.stderr


def parse(report):
    """{(mangled kernel, architecture): (registers, shared, stack + spills)}"""
    found, key, local = {}, None, 0
    for line in report.splitlines():
        if match := ENTRY.search(line):
            key, local = (match[1], int(match[2])), 0
        elif key and (match := STACK.search(line)):
            local = sum(int(n) for n in match.groups())
        elif key and (match := USED.search(line)):
            shared = SHARED.search(line)
            found[key] = (int(match[1]), int(shared[1]) if shared else 0, local)
            key = None
    return found


def demangle(names):
    """Readable names, the same on every machine (an anonymous namespace's mangled name holds a hash of the path)."""
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    readable = []
    for line in text.splitlines():
        line = re.sub(r"\(anonymous namespace\)::|gpunn::kernels::|_GLOBAL__N__\w+::", "", line)
        line = re.sub(r"^void ", "", line)
        depth, end = 0, len(line)  # cut the parameters: the first "(" outside of <>
        for i, c in enumerate(line):
            depth += (c == "<") - (c == ">")
            if c == "(" and depth == 0:
                end = i
                break
        readable.append(re.sub(r"\(([\w:]+)\)(\d+)", r"\2", line[:end]).replace("::operator()", ""))
    return readable


def measure(nvcc, architectures, jobs):
    """{(file, kernel): {architecture: (registers, shared, local)}}"""
    table = collections.defaultdict(dict)
    files = sorted((ROOT / "kernels").glob("*.cu"))
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        reports = pool.map(lambda f: compile_file(nvcc, f, architectures, pathlib.Path(folder)), files)
        for file, report in zip(files, reports):
            found = parse(report)
            names = sorted({name for name, _ in found})
            for name, readable in zip(names, demangle(names)):
                # CUB's kernels are not ours to tune, nor named alike in every release; spills count all the same.
                if "cub::" in readable and not any(found[(name, a)][2] for a in architectures):
                    continue
                row = (file.stem, readable)
                while row in table:  # two instances that read alike
                    row = (file.stem, row[1] + "'")
                for a in architectures:
                    table[row][a] = found[(name, a)]
    return table


def render(table, release):
    head = (f"# Registers per thread and shared memory of every kernel\n\nMade by `tests/kernels/ptxas_table.py --write` "
            f"with nvcc {release}. No kernel spills or uses local memory on any architecture.\n"
            "Shared: static bytes per block (what a launch asks for besides stands in the kernel's header).\n")
    lines, last = [head], None
    for (file, kernel), cells in sorted(table.items()):
        if file != last:
            lines.append(f"\n## {file}\n\n| kernel | shared |" + "".join(f" sm_{a} |" for a in cells)
                         + "\n|---|---|" + "---|" * len(cells))
            last = file
        shared = "/".join(str(s) for s in sorted({c[1] for c in cells.values()}))
        lines.append(f"| `{kernel}` | {shared} |" + "".join(f" {c[0]} |" for c in cells.values()))
    return "\n".join(lines) + "\n"


def read_table(text):
    """{(file, kernel): [registers...]} of the written file."""
    table, file = {}, None
    for line in text.splitlines():
        if line.startswith("## "):
            file = line[3:]
        elif line.startswith("| `"):
            kernel, rest = line[3:].split("` |", 1)
            table[(file, kernel)] = [int(n) for n in rest.strip(" |").split("|")[1:]]
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", type=lambda s: [int(a) for a in s.split(",")], default=ARCHITECTURES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    options = parser.parse_args()
    if not os.access(options.nvcc, os.X_OK):
        if os.environ.get("GPUNN_REQUIRE_CUDA"):
            sys.exit("no nvcc, and GPUNN_REQUIRE_CUDA is set")
        print("SKIPPED: no nvcc was found")
        return
    version = subprocess.run([options.nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"V([\d.]+)", version)[1]
    started = time.monotonic()
    table = measure(options.nvcc, options.only, options.jobs)
    seconds = time.monotonic() - started

    problems = [f"{file}: {kernel} uses {cell[2]} bytes of local memory on sm_{a}"
                for (file, kernel), cells in sorted(table.items()) for a, cell in cells.items() if cell[2]]
    if options.write:
        if not problems:
            TABLE.write_text(render(table, release))
    elif options.only == ARCHITECTURES:
        text = TABLE.read_text() if TABLE.exists() else ""
        written = read_table(text)
        problems += [f"{file}: {kernel} is not in kernels/resources.md" for file, kernel in sorted(table.keys() - written.keys())]
        problems += [f"{file}: {kernel} is in kernels/resources.md only" for file, kernel in sorted(written.keys() - table.keys())]
        if f"nvcc {release}" in text:
            for row in sorted(table.keys() & written.keys()):
                for (a, cell), before in zip(table[row].items(), written[row]):
                    if cell[0] > before * 1.1 + 1:
                        problems.append(f"{row[0]}: {row[1]} takes {cell[0]} registers on sm_{a}, was {before}")
    kernels = len(table)
    for problem in problems:
        print(problem)
    print(f"{kernels} kernels for {len(options.only)} architectures in {seconds:.0f} s: "
          + ("FAILED" if problems else "no spills"))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
