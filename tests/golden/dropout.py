"""Dropout inside recurrent layers: outputs in training and gradients, with masks that are the same on both sides.

The masks are those that our layers draw, by the formula of gpunn/random.hpp. Keras gets them where it would draw its own,
so that how many there are, and where they act, is Keras's: one mask for all gates, or with recurrent dropout one for each.
`case/dropout:input` [batch, masks, features] and `case/dropout:state` [batch, masks, units] are 0 or 1 / (1 - rate), those of
a Bidirectional `:forward_input`, ... . "streams" are the streams of their random numbers, of step 0 and the seed in the
attributes, in a network of two inputs, an embedding, a Dense for each initial state, and then the layer. `case/output` is what
the layer puts out in training.
"""

from unittest import mock

import keras
import numpy as np
import torch
from keras import layers

from golden import Family, Random, check_with_torch, run_layer
from recurrent import BATCH, INPUT, KINDS, MASKS, UNITS, over_time

SEED, STATE_STREAM, BACKWARD_STREAM = 11, 1 << 16, 1 << 17


def philox(seed, stream, step, count):
    """Words 0 to count - 1 of Philox4x32-10."""
    low = np.uint64(0xFFFFFFFF)
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    c0, c1, c2, c3 = blocks & low, blocks >> np.uint64(32), np.full_like(blocks, step), np.full_like(blocks, stream)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], 1).reshape(-1)[:count]


def drawn(rate, stream, shape):
    words = philox(SEED, stream, 0, int(np.prod(shape)))
    keep = (words >> np.uint64(8)).astype(np.float64) / 2**24 >= rate
    return np.where(keep, np.float32(1 / (1 - rate)), np.float32(0)).reshape(shape)


def masks_of(kind, attributes, stream):
    gates = 1 if kind == "simple_rnn" else 4 if kind == "lstm" else 3
    count = gates if attributes.get("recurrent_dropout") else 1
    wanted = (("input", "dropout", INPUT, stream), ("state", "recurrent_dropout", UNITS, stream + STATE_STREAM))
    return {part: (drawn(attributes[rate], number, (BATCH, count, features)), number)
            for part, rate, features, number in wanted if attributes.get(rate)}


class Given:
    """Stands where Keras draws its masks, and hands these out in the order in which Keras asks: x, then the state."""

    def __init__(self, masks):
        self.left = [mask[:, k].astype(np.float64) for mask in masks for k in range(mask.shape[1])]

    def __call__(self, ones, rate, seed):
        mask = self.left.pop(0)
        assert mask.shape == ones.shape and set(np.unique(mask)) <= {0, np.float64(np.float32(1 / (1 - rate)))}
        return ones * mask


def cases():
    """name: kind, steps, attributes, mask, start from given states"""
    for kind in KINDS:
        for variant in ({}, {"reset_after": False}) if kind == "gru" else ({},):
            name = kind + "_reset_before" * bool(variant)
            both = {"dropout": 0.25, "recurrent_dropout": 0.5, **variant}
            yield f"{name}_of_input", kind, 4, {"dropout": 0.5, **variant}, None, False
            yield f"{name}_of_state", kind, 4, {"recurrent_dropout": 0.5, **variant}, None, False
            yield f"{name}_of_both", kind, 3, {**both, "return_sequences": True, "return_state": True}, "with_holes_and_an_empty_row", True
    yield "gru_backwards", "gru", 4, {"dropout": 0.25, "recurrent_dropout": 0.25, "go_backwards": True}, None, False
    yield "gru_both_directions", "gru", 3, {"dropout": 0.5, "return_sequences": True, "merge_mode": "concat"}, None, False
    yield "lstm_both_directions", "lstm", 3, {"dropout": 0.25, "recurrent_dropout": 0.5, "merge_mode": "sum"}, None, False


def torch_layer(kind, attributes, mask, masks):
    _, step, state_count = KINDS[kind]

    def side(x, weights, states, prefix, backwards):
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        dropout = [torch.tensor(masks[prefix + part], dtype=x.dtype) if prefix + part in masks else None for part in ("input", "state")]
        turned = {**attributes, "go_backwards": backwards}
        return over_time(step, state_count, turned, x, mask, states, own["kernel"], own["recurrent_kernel"], own["bias"], dropout)

    def function(x, states=None, **weights):
        if "merge_mode" not in attributes:
            sequence, last = side(x, weights, states, "", attributes.get("go_backwards"))
            output = sequence if attributes.get("return_sequences") else last[0]
            return [output, *last] if attributes.get("return_state") else output
        (a, ahead), (b, back) = (side(x, weights, None, *which) for which in (("forward_", False), ("backward_", True)))
        a, b = (a, b.flip(1)) if attributes.get("return_sequences") else (ahead[0], back[0])
        return a + b if attributes["merge_mode"] == "sum" else torch.cat([a, b], -1)

    return function


def dropout():
    with Family("recurrent_dropout") as family:
        for name, kind, steps, attributes, mask, with_states in cases():
            make, _, state_count = KINDS[kind]
            random = Random(f"dropout/{name}")
            mask = np.array(MASKS[mask], bool)[:, :steps] if mask else None
            states = [random.uniform(BATCH, UNITS) for _ in range(state_count)] if with_states else []
            stream = 3 + len(states)
            layer = make(UNITS, **{k: v for k, v in attributes.items() if k != "merge_mode"})
            if "merge_mode" in attributes:
                layer = layers.Bidirectional(layer, merge_mode=attributes["merge_mode"])
                both = ("forward_", stream), ("backward_", stream + BACKWARD_STREAM)
                made = {prefix + part: value for prefix, own in both for part, value in masks_of(kind, attributes, own).items()}
            else:
                made = masks_of(kind, attributes, stream)
            masks, streams = {part: m for part, (m, _) in made.items()}, {part: s for part, (_, s) in made.items()}
            given = Given(masks.values())
            with mock.patch.object(keras.src.backend.random, "dropout", given):
                result = run_layer(layer, [random.uniform(BATCH, steps, INPUT)], random, states, training=True,
                                   **({} if mask is None else {"mask": mask}))
            assert not given.left, f"{name}: Keras draws fewer masks"
            check_with_torch(f"dropout {name}", result, torch_layer(kind, attributes, mask, masks))
            family.add(name, {"layer": kind, "units": UNITS, "seed": SEED, "streams": streams, **attributes}, **result,
                       **{f"dropout__{part}": m for part, m in masks.items()}, **({} if mask is None else {"mask": mask}))


FAMILIES = [dropout]
