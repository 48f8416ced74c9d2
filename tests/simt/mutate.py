#!/usr/bin/env python3
"""Mutation testing of CUDA kernels: breaks a source in one place at a time, rebuilds, runs the tests, lists survivors.

    mutate.py --stage plain "ninja -C build my_test" "build/my_test" kernels/softmax.cu [more.cu ...]

A stage is a name, a build and a test. Stages are tried in their order and only while the mutant lives, so the dear ones
(asan, tsan) are built for few: put the cheapest first. In a test {tests} stands for what `--tests-of COMMAND` prints for
the broken file, so that its own tests may come before all of them. A mutant that does not compile in the first stage is
counted apart and left out of the percentage; one that hangs a test (four times its processor time, or --timeout) is
killed; a build that takes longer than ten --timeout, or fails in a later stage alone, ends the run: it says nothing of
the mutant. The file is restored after each mutant.

Survivors that are right (a barrier that is not needed, a bound that cannot be met) stand in the file --explained, as
    <file>: <mutation>: <the broken line>  ## reason
and do not count. --state FILE remembers every result, so that an interrupted run goes on where it was (--retry tries
survivors again; a file that was edited is done anew); --share 1/2 and 2/2 may run beside each other in two copies of the
tree. --report prints the state as a table. --sample N tries about one of N. Exit status: 0 if at least --require percent
(95) of the others are killed.
"""

import argparse
import collections
import os
import pathlib
import re
import resource
import signal
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
    ("drop-condition", r"\bif \((?![^()]*\s<\s)([^()]*)\)", r"if (true)"),
    ("other-mode", r"== Accumulate::", r"!= Accumulate::"),
    ("drop-one", r"(?<=[\w)\]]) [+-] 1\b(?![.\w])", r""),
    ("plus-for-minus", r"(?<=[\w)\]]) - (?=[\w(])(?!1\b)", r" + "),
    ("float-literal", r"\b(\d+\.\d*)f\b", r"(\1f + 0.5f)"),
    ("assign-for-add", r"(?<=\s)\+=(?=\s)", r"="),
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


def succeeds(command, seconds):
    """Whether it exits with 0; None if it had to be stopped, with all that it had started."""
    with subprocess.Popen(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as process:
        try:
            return process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def limits_of(args, tests):
    """Of processor seconds, for each stage's test: four times what it takes unbroken, and a little. None: it fails."""
    limits = []
    for _, build, test in args.stage:
        if not succeeds(build, args.timeout * 10):
            return None
        before = processor_seconds()
        if not succeeds(test.replace("{tests}", tests), args.timeout):
            return None
        limits.append(1 + int(4 * (processor_seconds() - before) + args.timeout / 60))
    return limits


def fate(args, tests, limits):
    """"does not compile", "killed by <stage>", "hangs <stage>" or "survived"."""
    for i, (name, build, test) in enumerate(args.stage):
        built = succeeds(build, args.timeout * 10)
        if built is None or (not built and i > 0):
            sys.exit(f"mutate.py: `{build}` {'fails, though the first builds' if built is False else 'takes too long'}")
        if not built:
            return "does not compile"
        # Processor time, so that a busy machine makes nothing hang; real time for what waits for ever.
        before = processor_seconds()
        passed = succeeds(f"ulimit -t {limits[i]}; " + test.replace("{tests}", tests), args.timeout)
        if not passed:
            hangs = passed is None or processor_seconds() - before > 0.9 * limits[i]
            return f"{'hangs' if hangs else 'killed by'} {name}"
    return "survived"


class State:
    """The results so far, one a line: checksum of the file as it was, file, line, mutation, result, broken line."""

    def __init__(self, path):
        self.path = path
        self.results = {}
        if path and path.exists():
            for line in path.read_text().splitlines():
                *key, result, broken = line.split("\t")
                self.results[(*key, broken)] = result

    def add(self, key, result):
        self.results[key] = result
        if self.path:
            with self.path.open("a") as file:  # a line at a time: shares may write beside each other
                file.write("\t".join([*key[:-1], result, key[-1]]) + "\n")


def chosen(path, args):
    """The mutants that were asked for: a key for State, and all lines."""
    checksum = f"{zlib.crc32(path.read_bytes()):08x}"
    for line, name, lines in mutants(path):
        broken = lines[line - 1].strip()
        # Chosen by what is broken, not by its number: an edit elsewhere leaves the sample as it is.
        if args.only and name not in args.only or zlib.crc32(f"{path}: {name}: {broken}".encode()) % args.sample != 0:
            continue
        yield (checksum, str(path), str(line), name, broken), lines


def is_explained(key, args):
    _, path, _, name, broken = key
    return f"{path}: {name}: {broken}" in args.explained


def run(path, args, state, explained):
    tests = "*"
    if args.tests_of:
        tests = subprocess.run(f"{args.tests_of} {path}", shell=True, capture_output=True, text=True, check=True).stdout.strip()
    part, parts = map(int, args.share.split("/"))

    def is_open(key):
        result = state.results.get(key)
        return result is None or (args.retry and result == "survived" and not is_explained(key, args))

    todo = [m for i, m in enumerate(chosen(path, args))
            if i % parts == part - 1 and is_open(m[0]) and is_explained(m[0], args) == explained]
    limits = limits_of(args, tests) if todo else []
    if limits is None:
        sys.exit(f"mutate.py: the tests of {path} do not pass (in {args.timeout:.0f} s) before anything is broken")
    original = path.read_bytes()
    try:
        for key, lines in todo:
            _, _, line, name, broken = key
            path.write_text("".join(lines))
            result = fate(args, tests, limits)
            state.add(key, result)
            if result == "survived" and not is_explained(key, args):
                print(f"SURVIVED {path}:{line}:{name}    {broken}", flush=True)
            elif args.verbose:
                print(f"{result:<20} {path}:{line}:{name}", flush=True)
    finally:
        path.write_bytes(original)


def table(args, state):
    """A row for each file, and the percentage over all of them."""
    stages = [name for name, _, _ in args.stage]
    columns = ["does not compile", *(f"killed by {name}" for name in stages), "hangs", "explained", "survived", "not tried"]
    print("| file | mutants | " + " | ".join(columns) + " | caught |\n|---|" + "---:|" * (len(columns) + 2))
    everything = collections.Counter()

    def row(name, count):
        caught = sum(count[c] for c in columns if c.startswith(("killed", "hangs")))
        counted = caught + count["survived"]
        percent = 100.0 * caught / counted if counted else 100.0
        shown = f"{percent:.1f} %" if counted or not count["not tried"] else "-"
        print(f"| {name} | {sum(count.values())} | " + " | ".join(str(count[c]) for c in columns) + f" | {shown} |")
        return percent

    for path in args.files:
        count = collections.Counter()
        for key, _ in chosen(path, args):
            result = state.results.get(key, "not tried")
            if result == "survived" and is_explained(key, args):
                result = "explained"
            count["hangs" if result.startswith("hangs") else result] += 1
        if count:
            row(f"`{path.name}`", count)
        everything += count
    percent = row("all", everything)
    return percent if everything["not tried"] == 0 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--stage", action="append", required=True, nargs=3, metavar=("NAME", "BUILD", "TEST"),
                        help="a build, and a test that fails if a mutant is noticed")
    parser.add_argument("--tests-of", metavar="COMMAND", help="prints what {tests} stands for, given a file")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for a test, a tenth of those for a build")
    parser.add_argument("--require", type=float, default=95, help="percent to be killed")
    parser.add_argument("--explained", type=pathlib.Path, help="file of survivors that are right")
    parser.add_argument("--only", action="append", help="a mutation's name; may be repeated")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="only about one of N mutants")
    parser.add_argument("--state", type=pathlib.Path, help="file of results, added to")
    parser.add_argument("--retry", action="store_true", help="try the survivors of --state again")
    parser.add_argument("--share", default="1/1", metavar="I/N", help="the I-th of N parts")
    parser.add_argument("--list", action="store_true", help="name the mutants and stop")
    parser.add_argument("--report", action="store_true", help="print the table of --state and stop")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("mutate.py: terminated"))  # restores the file

    lines = args.explained.read_text().splitlines() if args.explained else []
    args.explained = {line.split("  ## ")[0] for line in lines if "  ## " in line}
    if args.list:
        for path in args.files:
            for (_, _, line, name, _), _ in chosen(path, args):
                print(f"{path}:{line}:{name}")
        return
    state = State(args.state)
    if not args.report:
        for explained in (False, True):  # they live, and so take longest: they come last
            for path in args.files:
                run(path, args, state, explained)
        for _, build, _ in args.stage:
            succeeds(build, args.timeout * 10)  # leave the right builds behind
        if args.share != "1/1":
            return
    sys.exit(0 if table(args, state) >= args.require else 1)


if __name__ == "__main__":
    main()
