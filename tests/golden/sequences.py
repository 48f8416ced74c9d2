"""Golden cases of the other layers over sequences: embedding, convolution and pooling along time, masks."""

import numpy as np
import torch
import torch.nn.functional as F
from keras import layers

import recurrent
from golden import Family, Random, check_with_torch, run_layer
from layers import same_pads


def case(family, name, layer, inputs, function, attributes, **call):
    result = run_layer(layer, inputs, Random(f"{family.name}/{name}/weights"), **call)
    check_with_torch(f"{family.name} {name}", result, function)
    family.add(name, attributes, **result, **call)


def embedding():
    with Family("embedding") as family:
        for name, shape in (("sequence", (3, 7)), ("one_id", (1, 1)), ("flat", (9,))):
            ids = Random(f"embedding/{name}").integers(*shape, high=6)  # of 11 rows: some repeated, some never used
            case(family, name, layers.Embedding(11, 4), [ids], lambda ids, embeddings: F.embedding(ids.long(), embeddings),
                 {"input_dim": 11, "output_dim": 4})


def pad_time(x, attributes, extent, value=0.0):
    if attributes["padding"] == "same":
        stride = attributes["strides"]
        return F.pad(x, same_pads(x.shape[2], extent, stride), value=value)
    return F.pad(x, (extent - 1, 0)) if attributes["padding"] == "causal" else x


def conv1d():
    cases = {
        "valid": {}, "valid_relu": {"activation": "relu"}, "valid_stride_2": {"strides": 2}, "same": {"padding": "same"},
        "same_even_window": {"padding": "same", "kernel_size": 4}, "same_stride_2": {"padding": "same", "strides": 2},
        "causal": {"padding": "causal"}, "causal_dilation_2": {"padding": "causal", "dilation_rate": 2},
        "valid_dilation_3": {"dilation_rate": 3}, "groups_2": {"groups": 2}, "no_bias": {"use_bias": False},
    }
    with Family("conv1d") as family:
        for name, given in cases.items():
            attributes = {"filters": 6, "kernel_size": 3, "strides": 1, "padding": "valid", "dilation_rate": 1, "groups": 1,
                          "activation": "linear", "use_bias": True, **given}

            def function(x, kernel, bias=None):
                extent = (attributes["kernel_size"] - 1) * attributes["dilation_rate"] + 1
                y = F.conv1d(pad_time(x.permute(0, 2, 1), attributes, extent), kernel.permute(2, 1, 0), bias,
                             attributes["strides"], 0, attributes["dilation_rate"], attributes["groups"]).permute(0, 2, 1)
                return torch.relu(y) if attributes["activation"] == "relu" else y

            x = Random(f"conv1d/{name}").uniform(2, 9, 4)
            case(family, name, layers.Conv1D(**attributes), [x], function, attributes)


def pooling1d():
    with Family("pooling1d") as family:
        for kind, make in (("max", layers.MaxPooling1D), ("average", layers.AveragePooling1D)):
            for window, strides, padding in ((2, 2, "valid"), (3, 2, "same"), (2, 1, "same")):
                name = f"{kind}_{window}_{strides}_{padding}"
                attributes = {"pool_size": window, "strides": strides, "padding": padding}

                def function(x):
                    x = x.permute(0, 2, 1)
                    if kind == "max":
                        return F.max_pool1d(pad_time(x, attributes, window, -torch.inf), window, strides).permute(0, 2, 1)
                    counts = F.avg_pool1d(pad_time(torch.ones_like(x), attributes, window), window, strides)
                    return (F.avg_pool1d(pad_time(x, attributes, window), window, strides) / counts).permute(0, 2, 1)

                case(family, name, make(**attributes), [Random(f"pooling1d/{name}").uniform(2, 7, 3)], function,
                     {"kind": kind, **attributes})
        x = Random("pooling1d/global").uniform(3, 5, 4)
        mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1]], bool)
        weights = torch.tensor(mask[:, :, None].astype(np.float64))
        case(family, "global_max", layers.GlobalMaxPooling1D(), [x], lambda x: x.amax(1), {"kind": "global_max"})
        case(family, "global_average", layers.GlobalAveragePooling1D(), [x], lambda x: x.mean(1), {"kind": "global_average"})
        case(family, "global_average_masked", layers.GlobalAveragePooling1D(), [x],
             lambda x: (x * weights).sum(1) / weights.sum(1), {"kind": "global_average"}, mask=mask)


def each_step(x, function):
    return torch.stack([function(step) for step in x.unbind(1)], 1)


def time_distributed():
    """The layer inside in "layer", with its own attributes."""
    with Family("time_distributed") as family:
        def inner(name, layer, shape, function, attributes):
            x = Random(f"time_distributed/{name}").uniform(*shape)
            case(family, name, layers.TimeDistributed(layer), [x], lambda x, **w: each_step(x, lambda step: function(step, **w)), attributes)

        inner("dense", layers.Dense(3, activation="tanh"), (2, 5, 4), lambda x, kernel, bias: torch.tanh(x @ kernel + bias),
              {"layer": "dense", "units": 3, "activation": "tanh"})

        def along_inner_steps(x, kernel, bias):
            return torch.relu(F.conv1d(F.pad(x.permute(0, 2, 1), (2, 0)), kernel.permute(2, 1, 0), bias)).permute(0, 2, 1)

        inner("conv1d", layers.Conv1D(4, 3, padding="causal", activation="relu"), (2, 3, 5, 2), along_inner_steps,
              {"layer": "conv1d", "filters": 4, "kernel_size": 3, "padding": "causal", "activation": "relu"})

        def over_frames(x, kernel, bias):
            x = F.pad(x.permute(0, 3, 1, 2), [*same_pads(6, 3, 2), *same_pads(5, 3, 2)])
            return F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, 2).permute(0, 2, 3, 1)

        inner("conv2d", layers.Conv2D(3, 3, strides=2, padding="same"), (2, 3, 5, 6, 2), over_frames,
              {"layer": "conv2d", "filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"})
        for kind, units, attributes in (("gru", 4, {"return_sequences": True}), ("lstm", 4, {"go_backwards": True})):
            make, step, state_count = recurrent.KINDS[kind]

            def function(x, kernel, recurrent_kernel, bias):
                states = [torch.zeros(x.shape[0], units, dtype=x.dtype) for _ in range(state_count)]
                sequence, last = recurrent.over_time(step, state_count, attributes, x, None, states, kernel, recurrent_kernel, bias)
                return sequence if attributes.get("return_sequences") else last[0]

            inner(kind, make(units, **attributes), (2, 3, 4, 3), function, {"layer": kind, "units": units, **attributes})


def masking():
    """`case/mask` is what the layer hands on: steps in which any feature differs from the mask value."""
    with Family("masking") as family:
        for name, value in (("zero", 0.0), ("minus_one", -1.0)):
            x = Random(f"masking/{name}").uniform(3, 5, 2)
            x[0, 3:] = x[1, :2] = value
            x[2, 1, 0] = value  # one feature alone does not mask a step
            layer = layers.Masking(value)
            mask = np.array(layer.compute_mask(x))
            result = run_layer(layer, [x], Random(f"masking/{name}/cotangent"))
            check_with_torch(name, result, lambda x: x * torch.any(x != value, -1, keepdim=True))
            family.add(name, {"mask_value": value}, **result, mask=mask)


FAMILIES = [embedding, conv1d, pooling1d, time_distributed, masking]
