#!/usr/bin/env python3
"""Mutation testing of CUDA kernels: breaks a source in one place at a time, rebuilds, runs the tests, lists survivors.

    mutate.py --build "ninja -C build my_test" --test "build/my_test" kernels/softmax.cu [more.cu ...]

A mutant is killed if the build fails or any of the tests does (--test may be given several times: plain, address,
thread; the cheapest first). The file is restored after each mutant, whatever happens. Survivors that are right (a
barrier that is not needed, a bound that cannot be met) are written into a file given by --explained, one per line as
    <file>: <mutation>: <the broken line>  ## reason
and do not count. --sample N tries about one of N. Exit status: 0 if at least --require percent (95) of the others are killed.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import zlib

# (name, pattern, replacement). A replacement may refer to groups. Every match on a line of code is one mutant.
MUTATIONS = [
    ("drop-barrier", r"__syncthreads\(\)", r"((void)0)"),
    ("drop-syncwarp", r"__syncwarp\([^()]*\)", r"((void)0)"),
    ("drop-fence", r"__threadfence(_block|_system)?\(\)", r"((void)0)"),
    ("less-or-equal", r"(?<![<\-=])<(?![<=])(?=\s)", r"<="),
    ("less", r"<=(?!>)", r"<"),
    ("greater-or-equal", r"(?<![>\-=])(?<=\s)>(?![>=])(?=\s)", r">="),
    ("drop-bounds-check", r"\bif \(([^()]*\s<\s[^()]*)\)", r"if (true)"),
    ("thread-for-block", r"\bthreadIdx\.([xyz])", r"blockIdx.\1"),
    ("block-for-thread", r"\bblockIdx\.([xyz])", r"threadIdx.\1"),
    ("narrow-mask", r"0xffffffffu?", r"0x0000ffffu"),
    ("stride-plus", r"\+= (blockDim|gridDim|kThreads|stride|step)\b", r"+= 1 + \1"),
    ("shift-stride", r"(\w+) \* (cols|rows|n|k|ld|pitch|width|stride)\b(?=\s*\+)", r"\1 * (\2 + 1)"),
    ("misalign-vector", r"reinterpret_cast<(const )?(float4|float2|int4|uint4)( const)?\*>\((\w+)", r"reinterpret_cast<\1\2\3*>(1 + \4"),
    ("atomic-to-plain", r"\batomicAdd\((&[\w\[\]\.\->]+|[\w\.]+), ([^;]*)\);", r"*(\1) += \2;"),
    ("drop-stream-wait", r"^(\s*).*cudaStreamWaitEvent\(.*\);", r"\1;"),
    ("drop-memset", r"^(\s*).*cudaMemset(2D)?(Async)?\(.*\);", r"\1;"),
    ("skip-zeroing", r"^(\s*)(?:for \([^;]*;[^;]*;[^)]*\) )?[\w\]\[\.\*]+\] = 0(\.0f)?;", r"\1;"),
    ("xor-buffer", r"\b1 - (\w+)\b", r"\1"),
]


def code_part(line):
    """The line without comments; nothing of a preprocessor line or a comment is worth breaking."""
    stripped = line.lstrip()
    if stripped.startswith(("#", "//", "*", "/*")):
        return ""
    return line.split("//")[0]


def mutants(path):
    lines = path.read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        code = code_part(line)
        for name, pattern, replacement in MUTATIONS:
            # A template's angle brackets and #include are no comparisons.
            if name in ("less-or-equal", "less", "greater-or-equal") and re.search(r"template|_cast<|#include", code):
                continue
            for match in re.finditer(pattern, code):
                broken = code[: match.start()] + match.expand(replacement) + code[match.end():] + line[len(code):]
                if broken != line:
                    yield number + 1, name, lines[:number] + [broken] + lines[number + 1:]


def passes(command, seconds):
    try:
        return subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=seconds).returncode == 0
    except subprocess.TimeoutExpired:
        return False  # a mutant that hangs is noticed


def how_killed(args):
    if not passes(args.build, args.timeout * 10):
        return "build"
    for test in args.test:
        if not passes(test, args.timeout):
            return test.split()[0].rsplit("/", 1)[-1]
    return None


def run(path, args, explained):
    killed = survived = 0
    original = path.read_bytes()
    try:
        for line, name, lines in mutants(path):
            key = f"{path}:{line}:{name}"
            if args.only and name not in args.only:
                continue
            # Chosen by what is broken, not by its number: an edit elsewhere leaves the sample as it is.
            if zlib.crc32(f"{path}: {name}: {lines[line - 1].strip()}".encode()) % args.sample != 0:
                continue
            if args.list:
                print(key)
                continue
            path.write_text("".join(lines))
            by = how_killed(args)
            if by:
                killed += 1
                if args.verbose:
                    print(f"killed by {by:<16} {key}", flush=True)
            elif f"{path}: {name}: {lines[line - 1].strip()}" in explained:
                print(f"survived, explained     {key}", flush=True)
            else:
                survived += 1
                print(f"SURVIVED                {key}    {lines[line - 1].strip()}", flush=True)
    finally:
        path.write_bytes(original)
    return killed, survived


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--build", required=True, help="command that rebuilds the tests")
    parser.add_argument("--test", action="append", required=True, help="command that fails if a mutant is noticed")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for a test, a tenth of those for a build")
    parser.add_argument("--require", type=float, default=95, help="percent to be killed")
    parser.add_argument("--explained", type=pathlib.Path, help="file of survivors that are right")
    parser.add_argument("--only", action="append", help="a mutation's name; may be repeated")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="only about one of N mutants")
    parser.add_argument("--list", action="store_true", help="name the mutants and stop")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()

    lines = args.explained.read_text().splitlines() if args.explained else []
    explained = {line.split("  ## ")[0] for line in lines if "  ## " in line}
    if not args.list and how_killed(args):
        sys.exit("mutate.py: the tests do not pass before anything is broken")
    killed = survived = 0
    for path in args.files:
        k, s = run(path, args, explained)
        killed, survived = killed + k, survived + s
    if args.list:
        return
    passes(args.build, args.timeout * 10)  # leave the right build behind
    total = killed + survived
    percent = 100.0 * killed / total if total else 100.0
    print(f"{killed} of {total} mutants killed ({percent:.1f} %)")
    sys.exit(0 if percent >= args.require else 1)


if __name__ == "__main__":
    main()
