#!/usr/bin/env python3
"""Does libgpunn learn as well as Keras? The same data, initial weights and order of samples, several seeds.

    bench/learning.py [digits] [cells] [reviews] [--seeds 5] [--epochs N]

Keras draws the weights; both then train with Adam on the same batches. The network of the reviews has dropout, of which
each draws its own: there accuracies are to be compared, not losses; --dropout 0 compares losses too. Keras runs on JAX:
on TensorFlow its Adam adds up the squares of an embedding's gradients position by position, not the square of their sum,
and where an id repeats in a batch that is another optimizer. Writes bench/results/learning.{json,md}. Runs in
the environment that compare.py --install makes; the data come from examples/data.sh.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data"
TASKS = {"digits": ("cnn", 10), "cells": ("ffn", 50), "reviews": ("gru", 3)}  # network, epochs


def read_idx(path):
    import numpy as np
    content = path.read_bytes()
    rank = content[3]
    shape = [int.from_bytes(content[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def digits():
    import numpy as np
    result = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(DATA / f"mnist/{prefix}-images-idx3-ubyte").astype(np.float32)[..., None]
        result[f"x_{part}"] = images * np.float32(1 / 255)
        result[f"y_{part}"] = read_idx(DATA / f"mnist/{prefix}-labels-idx1-ubyte").astype(np.int32)
    return result


def cells():
    """Features to mean 0 and deviation 1, as measured on the training samples."""
    import numpy as np
    result = {}
    for part in ("train", "test"):
        rows = np.array(list(csv.reader(open(DATA / f"cells/{part}.csv")))[1:], np.float64)
        result[f"x_{part}"], result[f"y_{part}"] = rows[:, :10], rows[:, 10:].astype(np.float32)
    mean, deviation = result["x_train"].mean(0), result["x_train"].std(0)
    for part in ("train", "test"):
        result[f"x_{part}"] = ((result[f"x_{part}"] - mean) / deviation).astype(np.float32)
    return result


def reviews():
    """Ids of the 10,000 most frequent words, 100 to a sentence, padded in front; the examples' own split."""
    import keras
    import numpy as np
    texts, result = {}, {}
    for part in ("train", "test"):
        rows = [line.split("\t") for line in (DATA / f"reviews/{part}.tsv").read_text(encoding="utf-8").splitlines()[1:]]
        texts[part], result[f"y_{part}"] = [row[2] for row in rows], np.array([[float(row[0])] for row in rows], np.float32)
    vectorize = keras.layers.TextVectorization(max_tokens=10000)
    vectorize.adapt(texts["train"])
    for part in ("train", "test"):
        ids = [row[row != 0].tolist() for row in np.asarray(vectorize(texts[part]))]
        result[f"x_{part}"] = keras.utils.pad_sequences(ids, 100)
    return result


def make_model(network, dropout):
    import keras
    from keras import layers
    keras.utils.clear_session()
    if network == "cnn":
        stack = [keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
                 layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(64, "relu"),
                 layers.Dense(10, "softmax")]
    elif network == "gru":
        stack = [keras.Input((100,), dtype="int32"), layers.Embedding(10000, 64), layers.GRU(64, return_sequences=True, dropout=dropout),
                 layers.GRU(64, dropout=dropout), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    else:
        stack = [keras.Input((10,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    model = keras.Sequential(stack)
    model.compile("adam", "sparse_categorical_crossentropy" if network == "cnn" else "binary_crossentropy", metrics=["accuracy"])
    return model


def with_keras(model, task, batch):
    losses = []
    for order in task["order"]:
        history = model.fit(task["x_train"][order], task["y_train"][order], batch_size=batch, shuffle=False, verbose=0)
        losses.append(history.history["loss"][0])
    loss, accuracy = model.evaluate(task["x_test"], task["y_test"], verbose=0)
    return {"test_accuracy": accuracy, "test_loss": loss, "losses": losses}


def with_ours(program, network, model, task, batch, seed, dropout):
    import numpy as np
    from safetensors.numpy import save_file
    with tempfile.TemporaryDirectory() as folder:
        save_file(task, f"{folder}/task.safetensors")
        weights = {f"{layer.name}/{v.name}": np.array(v) for layer in model.layers for v in layer.weights}
        save_file(weights, f"{folder}/weights.safetensors")
        done = subprocess.run([program, "--network", network, "--task", f"{folder}/task.safetensors", "--weights",
                               f"{folder}/weights.safetensors", "--batch", str(batch), "--seed", str(seed), "--dropout", str(dropout)],
                              stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def markdown(results, versions):
    lines = ["# Learning beside Keras", "", f"{versions}. Equal data, initial weights and order of samples; Adam, batch 32.",
             "Test accuracy in percent, mean over the seeds (each seed).", "",
             "| task | epochs | libgpunn | Keras | difference | largest relative difference of an epoch's loss |", "|---|---:|---|---|---:|---:|"]
    for name, runs in results.items():
        def cell(side):
            values = [100 * run[side]["test_accuracy"] for run in runs]
            return statistics.mean(values), f"{statistics.mean(values):.2f} ({', '.join(f'{v:.1f}' for v in values)})"
        (ours, ours_text), (keras, keras_text) = cell("ours"), cell("keras")
        drift = max(abs(a - b) / b for run in runs for a, b in zip(run["ours"]["losses"], run["keras"]["losses"]))
        lines.append(f"| {name} | {len(runs[0]['ours']['losses'])} | {ours_text} | {keras_text} | {ours - keras:+.2f} | {drift:.1e} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="digits, cells, reviews; default: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="default: 10 for digits, 50 for cells, 3 for reviews")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--dropout", type=float, default=0.1, help="of the reviews' recurrent layers (default: %(default)s)")
    parser.add_argument("--ours", type=pathlib.Path, default=HERE.parent / "build/release/bench/learn")
    parser.add_argument("--venv", type=pathlib.Path, help="of the peers; default: where compare.py --install puts it")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results/learning")
    arguments = parser.parse_args()
    if not set(arguments.tasks) <= set(TASKS):
        parser.error(f"the tasks are {', '.join(TASKS)}")

    import compare
    python = (arguments.venv or compare.DEFAULT_VENV) / "bin/python"
    if pathlib.Path(sys.prefix) != python.parent.parent:
        if not python.exists():
            sys.exit(f"learning.py: no Keras in {python.parent.parent}: run bench/compare.py --install, or name another --venv")
        os.execv(python, [str(python), __file__, *sys.argv[1:]])

    os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    import numpy as np
    results = {}
    for name in arguments.tasks or TASKS:
        network, epochs = TASKS[name]
        data = {"digits": digits, "cells": cells, "reviews": reviews}[name]()
        for seed in range(arguments.seeds):
            keras.utils.set_random_seed(seed)
            model = make_model(network, arguments.dropout)
            generator = np.random.default_rng(seed)
            order = [generator.permutation(len(data["x_train"])) for _ in range(arguments.epochs or epochs)]
            task = {**data, "order": np.array(order, np.int64)}
            ours = with_ours(arguments.ours, network, model, task, arguments.batch, seed, arguments.dropout)
            run = {"ours": ours, "keras": with_keras(model, task, arguments.batch)}
            results.setdefault(name, []).append(run)
            print(f"{name}, seed {seed}: ours {run['ours']['test_accuracy']:.4f}, Keras {run['keras']['test_accuracy']:.4f}; "
                  f"first losses {run['ours']['losses'][0]:.6f}, {run['keras']['losses'][0]:.6f}", flush=True)

    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    text = markdown(results, f"Keras {keras.__version__} on {keras.backend.backend()}")
    arguments.output.with_suffix(".md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
