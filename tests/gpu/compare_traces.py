#!/usr/bin/env python3
"""compare_traces.py A B: how two files of `trace` agree, by network and kind; fails when a loss is more than 1e-5 off.

nvcc contracts products and sums and the software device does not, so equal bits are not to be expected of the two: the
numbers say how far apart they are."""
import collections
import sys


def read(name):
    with open(name) as file:
        return [(*line.split()[:2], float.fromhex(line.split()[2])) for line in file]


first, second = map(read, sys.argv[1:3])
if [line[:2] for line in first] != [line[:2] for line in second]:
    sys.exit("not the same networks and steps")
count, equal, worst = collections.Counter(), collections.Counter(), collections.defaultdict(float)
for (network, kind, a), (_, _, b) in zip(first, second):
    key = network, kind
    count[key] += 1
    equal[key] += a == b
    worst[key] = max(worst[key], abs(a - b) / max(abs(a), abs(b), 1e-3) if a == a and b == b else float("inf"))
for (network, kind), n in count.items():
    print(f"{network}: {equal[network, kind]} of {n} values of kind {kind} equal bit for bit, the largest relative difference {worst[network, kind]:.2g}")
sys.exit(any(worst[key] > 1e-5 for key in worst if key[1] == "loss"))
