"""One contestant of compare.py: a peer framework that trains one network in a process of its own.

    peers.py PEER NETWORK --threads N --batch B [--device cpu|cuda] [--once]

Prints {"ready": true} when compiled and warm; then, for each line with a number of seconds on standard input, trains
whole epochs for about that long and prints {"samples_per_second": ...}. With --once it trains one epoch and ends.

Each peer is written as its own documentation advises: data in memory, shuffled anew for every epoch, mean loss and
accuracy kept over the epoch, Adam with Keras's defaults. No gradient is skipped and nothing is read back within an epoch
that the framework itself does not read back.
"""

import argparse
import json
import os
import sys
import time

NETWORKS = {  # samples of one epoch, shape of one input
    "ffn": (32_000, (10,)),
    "cnn": (4_000, (28, 28, 1)),
    "gru": (1_280, (100,)),
    "lstm": (1_280, (100,)),
    "rnn": (1_280, (100,)),
}
VOCABULARY, WIDTH, DROPOUT = 10_000, 64, 0.1
DEVICE = "cpu"  # of PyTorch; the others take a GPU by themselves


def make_data(network):
    import numpy as np
    generator = np.random.default_rng(1)
    samples, shape = NETWORKS[network]
    if network == "cnn":
        return generator.random((samples, *shape), np.float32), generator.integers(0, 10, samples).astype(np.int32)
    if network == "ffn":
        return generator.normal(size=(samples, *shape)).astype(np.float32), generator.integers(0, 2, (samples, 1)).astype(np.float32)
    return generator.integers(0, VOCABULARY, (samples, *shape)).astype(np.int32), generator.integers(0, 2, (samples, 1)).astype(np.float32)


def keras_epoch(network, batch, threads, steps_per_execution=1):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import keras
    from keras import layers

    recurrent = {"gru": layers.GRU, "lstm": layers.LSTM, "rnn": layers.SimpleRNN}
    samples, shape = NETWORKS[network]
    stack = [keras.Input(shape, dtype="int32" if network in recurrent else "float32")]
    if network == "ffn":
        stack += [layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    elif network == "cnn":
        stack += [layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"),
                  layers.MaxPooling2D(), layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]
    else:
        layer = recurrent[network]
        stack += [layers.Embedding(VOCABULARY, WIDTH), layer(WIDTH, return_sequences=True, dropout=DROPOUT),
                  layer(WIDTH, dropout=DROPOUT), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    model = keras.Sequential(stack)
    loss = "sparse_categorical_crossentropy" if network == "cnn" else "binary_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], steps_per_execution=steps_per_execution)
    x, y = make_data(network)

    def epoch():
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
        return samples

    return epoch


def torch_epoch(network, batch, threads, compiled=None):
    import torch
    import torch.nn.functional as F
    from torch import nn
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # as ours, unless asked for

    class Recurrent(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.first = layer(WIDTH, WIDTH, batch_first=True)
            self.second = layer(WIDTH, WIDTH, batch_first=True)
            self.hidden, self.out = nn.Linear(WIDTH, 64), nn.Linear(64, 1)

        @staticmethod
        def drop(x):  # Keras's: one mask for all steps of a sequence
            return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), DROPOUT)

        def forward(self, ids):
            x = self.first(self.drop(self.embedding(ids)))[0]
            x = self.second(self.drop(x))[0][:, -1]
            return self.out(torch.relu(self.hidden(x)))

    if network == "ffn":
        model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    elif network == "cnn":
        model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                              nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10)).to(memory_format=torch.channels_last)
    else:
        model = Recurrent({"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}[network])
    model = model.to(DEVICE)
    x, y = (torch.from_numpy(part).to(DEVICE) for part in make_data(network))
    if network == "cnn":
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        y = y.long()
        loss_of = F.cross_entropy
    else:
        loss_of = F.binary_cross_entropy_with_logits

    def forward(x, y):
        logits = model(x)
        hits = (logits.argmax(-1) == y) if network == "cnn" else ((logits > 0) == (y > 0.5))
        return loss_of(logits, y), hits.sum()

    if compiled:
        forward = torch.compile(forward, mode=compiled)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)

    def epoch():
        order = torch.randperm(len(x), device=DEVICE)
        total, right = torch.zeros((), device=DEVICE), torch.zeros((), dtype=torch.int64, device=DEVICE)
        for begin in range(0, len(x), batch):
            rows = order[begin:begin + batch]
            loss, hits = forward(x[rows], y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
            right += hits
        total.item(), right.item()
        return len(x)

    return epoch


def jax_epoch(network, batch, threads, scan=False):
    os.environ["JAX_PLATFORMS"] = "cpu"
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax
    import jax_networks
    from jax import numpy as jnp

    x, y = map(jnp.asarray, make_data(network))
    steps = len(x) // batch
    if scan and network == "cnn":
        steps = min(steps, 1_280 // batch)  # convolutions inside a scan are so slow that an epoch would take minutes
    samples = steps * batch
    state, step = jax_networks.training(network, jax.random.key(1))

    if scan:
        @jax.jit
        def whole_epoch(state, key):
            order = jax.random.permutation(key, len(x))[:samples].reshape(steps, batch)
            state, results = jax.lax.scan(lambda s, rows: step(s, x[rows], y[rows]), state, order)
            return state, jax.tree.map(jnp.sum, results)
    else:
        one_step = jax.jit(lambda state, rows: step(state, x[rows], y[rows]), donate_argnums=0)
        shuffled = jax.jit(lambda key: jax.random.permutation(key, len(x))[:samples].reshape(steps, batch))

    number = 0

    def epoch():
        nonlocal state, number
        number += 1
        key = jax.random.key(number)
        if scan:
            state, results = whole_epoch(state, key)
        else:
            for rows in list(shuffled(key)):
                state, results = one_step(state, rows)
        jax.block_until_ready((state, results))
        return samples

    return epoch


PEERS = {
    "keras": keras_epoch,
    "keras_50_steps": lambda *a: keras_epoch(*a, steps_per_execution=50),
    "torch": torch_epoch,
    "torch_compiled": lambda *a: torch_epoch(*a, compiled="default"),
    "torch_graph": lambda *a: torch_epoch(*a, compiled="reduce-overhead"),  # CUDA graphs
    "jax": jax_epoch,
    "jax_scan": lambda *a: jax_epoch(*a, scan=True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    global DEVICE
    DEVICE = arguments.device
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

    epoch = PEERS[arguments.peer](arguments.network, arguments.batch, arguments.threads)
    epoch()
    if arguments.once:
        return
    epoch()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        samples, start = 0, time.perf_counter()
        while samples == 0 or time.perf_counter() - start < float(line):
            samples += epoch()
        print(json.dumps({"samples_per_second": samples / (time.perf_counter() - start)}), flush=True)


if __name__ == "__main__":
    main()
