#!/usr/bin/env python3
"""Measures libgpunn beside Keras, PyTorch and JAX on the same networks, in turn, in one run.

    bench/compare.py --install                  makes a virtual environment with the peers (8 GB, some minutes)
    bench/compare.py                            measures everything; writes bench/results/compare.{json,md,svg}
    bench/compare.py --networks ffn --threads 1 --rounds 3 --peers torch jax

The peers run in processes that stay alive and warm; in each round every contestant trains for a few seconds, one after
the other, pinned to the same cores, so that whatever else the machine does hits all alike. What counts is the median of
the rounds. Then each contestant is started once more on the FFN, for the time from its start to the end of its first
epoch of 1,000 steps, and its peak memory.

Needs Python's standard library only; peers.py runs in the environment of --venv.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import report

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ["keras", "keras_50_steps", "torch", "torch_compiled", "jax", "jax_scan"]
NETWORKS = ["ffn", "cnn", "gru", "lstm", "rnn"]
PACKAGES = ["keras", "tensorflow-cpu", "torch", "jax[cpu]", "numpy", "safetensors"]
DEFAULT_VENV = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "gpunn-peers"


def install(venv):
    print(f"Making {venv} with {', '.join(PACKAGES)}: about 8 GB", flush=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
    print(f"Done. Its Python is {venv / 'bin/python'}")


class Contestant:
    """One framework on one network: `measure` trains for some seconds and returns samples per second."""

    def __init__(self, name, command, cores):
        self.name, self.command, self.cores = name, [str(c) for c in command], cores

    def pin(self):
        os.sched_setaffinity(0, self.cores)

    def environment(self):
        return {**os.environ, "OMP_NUM_THREADS": str(len(self.cores)), "CUDA_VISIBLE_DEVICES": ""}

    def close(self):
        pass


class Ours(Contestant):
    """Our bench program: a process for each measurement, since it starts in milliseconds."""

    def start(self):
        self.measure(0.1)

    def measure(self, seconds):
        done = subprocess.run([*self.command, "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True,
                              preexec_fn=self.pin, env=self.environment())
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} ended with status {done.returncode}: {' '.join(self.command)}")
        return json.loads(done.stdout.splitlines()[-1])["samples_per_second"]


class Peer(Contestant):
    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, preexec_fn=self.pin, env=self.environment())
        self.answer()

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended with status {self.process.wait()}: {' '.join(self.command)}")

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer()["samples_per_second"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def contestants(arguments, network, cores):
    shape = ["--batch", arguments.batch, "--threads", len(cores), "--device", arguments.device]
    if arguments.ours:
        yield Ours("libgpunn", [arguments.ours, "--network", network, *shape], cores)
    for peer in arguments.peers:
        yield Peer(peer, [arguments.venv / "bin/python", HERE / "peers.py", peer, network, *shape], cores)


def rounds_of(arguments, network, cores):
    """Samples per second of every contestant in every round."""
    results = {}
    with contextlib.ExitStack() as stack:
        running = []
        for contestant in contestants(arguments, network, cores):
            try:
                contestant.start()
            except RuntimeError as problem:
                print(f"  left out: {problem}", file=sys.stderr, flush=True)
                continue
            stack.callback(contestant.close)
            running.append(contestant)
        for _ in range(arguments.rounds):
            for contestant in running:
                results.setdefault(contestant.name, []).append(contestant.measure(arguments.seconds))
    return results


def first_epoch(arguments, cores):
    """From the start of the process to the end of an FFN epoch of 1,000 steps: seconds, and the peak of memory."""
    results = {}
    for contestant in contestants(arguments, "ffn", cores):
        one_epoch = ["--epochs", "1"] if isinstance(contestant, Ours) else ["--once"]
        seconds, peaks = [], []
        for _ in range(3):
            begin = time.perf_counter()
            process = subprocess.Popen([*contestant.command, *one_epoch], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       preexec_fn=contestant.pin, env=contestant.environment())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                print(f"  left out: {contestant.name} ended with status {process.returncode}", file=sys.stderr, flush=True)
                break
            seconds.append(time.perf_counter() - begin)
            peaks.append(usage.ru_maxrss / 1024)
        else:
            results[contestant.name] = {"seconds": statistics.median(seconds), "peak_mib": statistics.median(peaks)}
    return results


def processor():
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def versions(venv):
    code = ("import importlib.metadata as m; print({p: m.version(p) for p in "
            "('keras', 'tensorflow-cpu', 'torch', 'jax')})")
    done = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, text=True)
    return done.stdout.strip() or "not installed"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="make the virtual environment of the peers and stop")
    parser.add_argument("--venv", type=pathlib.Path, default=DEFAULT_VENV, help="where it is (default: %(default)s)")
    parser.add_argument("--ours", type=pathlib.Path, default=HERE.parent / "build/release/bench/train_step", help="our bench program")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--peers", nargs="*", choices=[*PEERS, "torch_graph"], default=PEERS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu", help="cpu or cuda; on a GPU compare with torch's three forms")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of training for each contestant in each round")
    parser.add_argument("--skip-start", action="store_true", help="leave out the time to the first epoch")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results/compare", help="without its ending")
    arguments = parser.parse_args()
    if arguments.install:
        return install(arguments.venv)
    if not arguments.ours.exists():
        sys.exit(f"compare.py: {arguments.ours} is not built: configure with -DGPUNN_BUILD_BENCH=ON and build train_step")
    if arguments.peers and not (arguments.venv / "bin/python").exists():
        sys.exit(f"compare.py: no peers in {arguments.venv}: run bench/compare.py --install, or name another --venv")

    cores = sorted(os.sched_getaffinity(0))
    table = {"machine": processor(), "cores": len(cores), "load_before": os.getloadavg()[0], "peers": versions(arguments.venv),
             "batch": arguments.batch, "rounds": arguments.rounds, "command": " ".join(["bench/compare.py", *sys.argv[1:]]),
             "samples_per_second": [], "first_epoch": {}}
    for network in arguments.networks:
        for threads in arguments.threads:
            if threads > len(cores):
                print(f"skipping {threads} threads: this machine has {len(cores)} cores", flush=True)
                continue
            print(f"{network}, {threads} threads", flush=True)
            rounds = rounds_of(arguments, network, cores[:threads])
            table["samples_per_second"].append({"network": network, "threads": threads, "rounds": rounds})
            for name, values in rounds.items():
                print(f"  {name:16} {statistics.median(values):12,.0f}   ({min(values):,.0f} to {max(values):,.0f})", flush=True)
    if not arguments.skip_start:
        table["first_epoch"] = first_epoch(arguments, cores[:max(t for t in arguments.threads if t <= len(cores))])

    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for ending, text in (("json", json.dumps(table, indent=1)), ("md", report.markdown(table)), ("svg", report.plot(table))):
        arguments.output.with_suffix(f".{ending}").write_text(text + "\n")
    print(report.markdown(table))


if __name__ == "__main__":
    main()
