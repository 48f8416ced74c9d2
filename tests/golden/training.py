"""Twenty training steps of whole networks. Weights and batches come from formulas, so that a test can make them itself.

    u(stream, i): a number in [0, 1) from 32-bit arithmetic that wraps around; `stream` tells the uses apart
        h = i + 0x9e3779b9 * (stream + 1);  h ^= h >> 16;  h *= 0x85ebca6b;  h ^= h >> 13;  h *= 0xc2b2ae35;  h ^= h >> 16
        u = (h >> 8) / 2^24                                  (exact in float32)

    weight tensor number w (0, 1, ... in Keras's order), element i:  float32((2 u(w, i) - 1) * scale), scale in double:
        sqrt(6 / (fan_in + fan_out)) with Keras's fans for kernels and recurrent kernels, 0.05 for embeddings, 0 for biases
    batch s (0 to 19), sample n of B, with row r = s * B + n:
        float inputs of E elements:  x[e] = float32(u(100, r * E + e) * (high - low) + low)
        token ids of T steps:        floor(u(101, r * T + t) * vocabulary); in the masked networks the last
                                     floor(u(102, r) * T) steps of the row are 0, or the first where
                                     "padded_in_front"
        label of the FFN:            1 if x[0] + x[1] * x[2] > 0 else 0
        label of the CNN:            r * 7 mod 10, and 0.5 is added to the pixels of rows 2 * label to 2 * label + 7
        label of the token networks: 1 if the first token (before padding) is below vocabulary / 2 else 0

Tensors: `network/losses` [20], the loss of each batch before its update; `network/first_gradient_norms` and
`network/final_norms` [number of weights]; `network/final:<k>` the last weight tensors in full where they are small.
The update is Adam with Keras's defaults, or the "learning_rate" of the attributes; with "same_batch" every step sees batch 0,
with "row" the batch that begins there. Confirmed in PyTorch with the optimizer written out.
"""

import functools
import math

import jax
import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras import layers

import optimizers
import recurrent
from golden import Family, agree
from mask_flow import named

STEPS = 20


def u(stream, count, start=0):
    h = (np.arange(start, start + count, dtype=np.uint64) + 0x9E3779B9 * (stream + 1)) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    return (h >> np.uint64(8)).astype(np.float64) / 2**24


def weight(number, name, shape):
    if name.endswith("bias"):
        return np.zeros(shape)
    if name == "embeddings":
        scale = 0.05
    else:
        receptive = math.prod(shape[:-2])
        scale = math.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
    return ((2 * u(number, math.prod(shape)) - 1) * scale).astype(np.float32).astype(np.float64).reshape(shape)


def floats(row, batch, shape, low, high):
    elements = math.prod(shape)
    values = u(100, batch * elements, row * elements) * (high - low) + low
    return values.astype(np.float32).astype(np.float64).reshape(batch, *shape)


def ffn_batch(row, batch):
    x = floats(row, batch, (10,), -1.0, 1.0)
    return x, (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.float64)[:, None]


def cnn_batch(row, batch):
    x = floats(row, batch, (28, 28, 1), 0.0, 0.5)
    labels = (np.arange(row, row + batch) * 7 % 10).astype(np.int32)
    for image, label in zip(x, labels):
        image[2 * label:2 * label + 8] += 0.5
    return x.astype(np.float32).astype(np.float64), labels


def tokens_batch(row, batch, steps, vocabulary, masked, in_front=False):
    ids = np.floor(u(101, batch * steps, row * steps) * vocabulary).astype(np.int32).reshape(batch, steps)
    labels = (ids[:, :1] < vocabulary / 2).astype(np.float64)
    if masked:
        for line, padding in zip(ids, np.floor(u(102, batch, row) * steps).astype(int)):
            line[slice(padding) if in_front else slice(steps - padding, steps)] = 0
    return ids, labels


def ffn():
    return [keras.Input((10,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]


def torch_ffn(x, w1, b1, w2, b2, w3, b3):
    return torch.sigmoid(torch.relu(torch.relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3)


def cnn():
    return [keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(64, "relu"),
            layers.Dense(10, "softmax")]


def torch_cnn(x, k1, c1, k2, c2, w1, b1, w2, b2):
    x = x.permute(0, 3, 1, 2)
    x = F.max_pool2d(torch.relu(F.conv2d(x, k1.permute(3, 2, 0, 1), c1)), 2)
    x = F.max_pool2d(torch.relu(F.conv2d(x, k2.permute(3, 2, 0, 1), c2)), 2)
    return torch.softmax(torch.relu(x.permute(0, 2, 3, 1).flatten(1) @ w1 + b1) @ w2 + b2, -1)


TIME, VOCABULARY = 12, 50


def sequence(layer, masked=False, width=16, units=12, dense=8, time=TIME, vocabulary=VOCABULARY):
    return [keras.Input((time,), dtype="int32"), layers.Embedding(vocabulary, width, mask_zero=masked),
            layer(units, return_sequences=True), layer(units), layers.Dense(dense, "relu"), layers.Dense(1, "sigmoid")]


def reviews():
    """The network of the reviews, without its dropout."""
    return sequence(layers.GRU, width=64, units=64, dense=64, time=100, vocabulary=10000)


def tokens(part, masked):
    ids = keras.Input((TIME,), dtype="int32")
    x = part(layers.Embedding(VOCABULARY, 16, mask_zero=masked)(ids))
    x = layers.Dense(8, "relu")(x)
    return keras.Model(ids, layers.Dense(1, "sigmoid")(x))


def torch_tokens(part, masked=False):
    def function(ids, embeddings, *weights):
        *own, w1, c1, w2, c2 = weights
        x = part(F.embedding(ids.long(), embeddings), ids.numpy() != 0 if masked else None, own)
        return torch.sigmoid(torch.relu(x @ w1 + c1) @ w2 + c2)

    return function


def run(kind, attributes, x, mask, weights):
    _, step, state_count = recurrent.KINDS[kind]
    states = [torch.zeros(x.shape[0], weights[1].shape[0], dtype=x.dtype) for _ in range(state_count)]
    return recurrent.over_time(step, state_count, attributes, x, mask, states, *weights)


def two(first, second, units=12, **attributes):
    """Two recurrent layers, in Keras and in PyTorch. The mask goes on as it is, also past a layer that reads backwards."""
    def part(x):
        x = recurrent.KINDS[first][0](units, return_sequences=True, **attributes)(x)
        return recurrent.KINDS[second][0](units, **attributes)(x)

    def torch_part(x, mask, weights):
        x, _ = run(first, attributes, x, mask, weights[:3])
        return run(second, attributes, x, mask, weights[3:])[1][0]

    return part, torch_part


MERGED = {"concat": lambda a, b: torch.cat([a, b], -1), "sum": torch.add, "mul": torch.mul, "ave": lambda a, b: (a + b) / 2}


def both_directions(first, second, units=6):
    """Two Bidirectional LSTMs, merged in these ways. After None, both sequences are joined for a plain LSTM."""
    def part(x):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True), merge_mode=first)(x)
        if first is None:
            return layers.LSTM(units, name="lstm")(layers.Concatenate()(x))
        return layers.Bidirectional(layers.LSTM(units), merge_mode=second)(x)

    def torch_part(x, mask, weights):
        zeros = {"zero_output_for_mask": True}
        ahead, back = run("lstm", zeros, x, mask, weights[:3])[0], run("lstm", {**zeros, "go_backwards": True}, x, mask, weights[3:6])[0]
        x = MERGED[first or "concat"](ahead, back.flip(1))
        if first is None:
            return run("lstm", {}, x, mask, weights[6:])[1][0]
        return MERGED[second](run("lstm", {}, x, mask, weights[6:9])[1][0], run("lstm", {"go_backwards": True}, x, mask, weights[9:])[1][0])

    return part, torch_part


def convolution():
    def part(x):
        return layers.GlobalMaxPooling1D()(layers.Conv1D(12, 3, activation="relu")(x))

    def torch_part(x, mask, weights):
        return torch.relu(F.conv1d(x.permute(0, 2, 1), weights[0].permute(2, 1, 0), weights[1])).amax(2)

    return part, torch_part


NOT_MASKED, MASKED, IN_FRONT = (False, False), (True, False), (True, True)
TOKEN_NETWORKS = {  # name: (in Keras, in PyTorch), padding
    "gru_reset_before": (two("gru", "gru", reset_after=False), NOT_MASKED),
    "gru_reset_before_masked": (two("gru", "gru", reset_after=False), MASKED),
    "lstm_padded_in_front": (two("lstm", "lstm"), IN_FRONT),
    "backwards": (two("lstm", "gru", go_backwards=True), NOT_MASKED),
    "backwards_padded_in_front": (two("lstm", "gru", go_backwards=True), IN_FRONT),
    "bidirectional_concat_sum_masked": (both_directions("concat", "sum"), MASKED),
    "bidirectional_mul_ave": (both_directions("mul", "ave"), NOT_MASKED),
    "bidirectional_apart_masked": (both_directions(None, None), MASKED),
    "conv1d": (convolution(), NOT_MASKED),
}


def torch_loss(y, p):
    if y.dtype == torch.float64:
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
    return -torch.log(p[torch.arange(len(p)), y.long()]).mean()


def confirm(name, weights, batches, function, losses, final, rate):
    """The same steps in PyTorch, Adam written out."""
    values = [torch.tensor(w, requires_grad=True) for w in weights]
    slots = [{} for _ in weights]
    for step, (x, y) in enumerate(batches):
        loss = torch_loss(torch.tensor(y), function(torch.tensor(x), *values))
        agree(f"{name} loss {step}", losses[step], loss.detach(), 1e-9)
        gradients = torch.autograd.grad(loss, values)
        updated = [optimizers.adam(w.detach().numpy(), g.numpy(), s, step + 1, learning_rate=rate) for w, g, s in zip(values, gradients, slots)]
        values = [torch.tensor(w, requires_grad=True) for w in updated]
    for k, (a, b) in enumerate(zip(final, values)):
        agree(f"{name} final weight {k}", a, b.detach(), 1e-7)


def train(family, name, describe, batches, loss, function, attributes, rate=0.001):
    keras.utils.clear_session()  # or the names would count on from the network before
    described = describe()
    model = described if isinstance(described, keras.Model) else keras.Sequential(described)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)
    start = [weight(k, v.name, v.shape) for k, v in enumerate(model.trainable_variables)]
    frozen = [np.array(v) for v in model.non_trainable_variables]

    @jax.jit
    def step(weights, slots, x, y):
        value, gradients = jax.value_and_grad(lambda w: loss(y, model.stateless_call(w, frozen, x)[0]))(weights)
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return value, gradients, weights, slots

    weights, slots, losses = start, [v.value for v in optimizer.variables], []
    for number, (x, y) in enumerate(batches):
        value, gradients, weights, slots = step(weights, slots, x, y)
        losses.append(float(value))
        if number == 0:
            gradient_norms = [np.linalg.norm(g) for g in gradients]
    confirm(name, start, batches, function, losses, weights, rate)
    assert losses[-1] < losses[0], "the network learns nothing from these batches"
    small = {f"final__{k}": np.asarray(w) for k, w in enumerate(weights) if w.size <= 192}
    names = [named(v) for v in model.trainable_variables]
    family.add(name, {"steps": STEPS, "weights": names, "shapes": [w.shape for w in start], **attributes}, losses=losses,
               first_gradient_norms=gradient_norms, final_norms=[np.linalg.norm(w) for w in weights], **small)


def training():
    binary, sparse = keras.losses.BinaryCrossentropy(), keras.losses.SparseCategoricalCrossentropy()
    with Family("training") as family:
        batches = [ffn_batch(32 * s, 32) for s in range(STEPS)]
        train(family, "ffn", ffn, batches, binary, torch_ffn, {"batch": 32, "low": -1.0, "high": 1.0})
        batches = [cnn_batch(8 * s, 8) for s in range(STEPS)]
        train(family, "cnn", cnn, batches, sparse, torch_cnn, {"batch": 8, "low": 0.0, "high": 0.5})
        for kind in recurrent.KINDS:
            for masked in (False, True):
                name = kind + ("_masked" if masked else "")
                batches = [tokens_batch(8 * s, 8, TIME, VOCABULARY, masked) for s in range(STEPS)]
                attributes = {"batch": 8, "time": TIME, "vocabulary": VOCABULARY, "mask_zero": masked, "embedding": 16, "units": 12}
                describe = functools.partial(sequence, recurrent.KINDS[kind][0], masked)
                train(family, name, describe, batches, binary, torch_tokens(two(kind, kind)[1], masked), attributes)
        batches = [tokens_batch(0, 32, 100, 10000, False)] * STEPS  # a single one, or 20 steps would learn nothing
        attributes = {"batch": 32, "same_batch": True, "time": 100, "vocabulary": 10000, "mask_zero": False, "embedding": 64, "units": 64}
        train(family, "reviews", reviews, batches, binary, torch_tokens(two("gru", "gru")[1]), attributes)


UNEVEN = 8  # the labels from this row on are not half and half, or Adam would magnify the rounding of a bias's gradient near 0


def token_training():
    with Family("token_training") as family:
        for name, ((part, torch_part), (masked, in_front)) in TOKEN_NETWORKS.items():
            batches = [tokens_batch(UNEVEN, 8, TIME, VOCABULARY, masked, in_front)] * STEPS
            attributes = {"batch": 8, "row": UNEVEN, "time": TIME, "vocabulary": VOCABULARY, "mask_zero": masked,
                          "padded_in_front": in_front, "learning_rate": 0.01}
            train(family, name, functools.partial(tokens, part, masked), batches, keras.losses.BinaryCrossentropy(),
                  torch_tokens(torch_part, masked), attributes, rate=0.01)


FAMILIES = [training, token_training]
