"""Golden cases of the feed-forward and convolutional layers, each made by Keras and confirmed by PyTorch."""

import numpy as np
import torch
import torch.nn.functional as F
from keras import layers

from golden import Family, Random, check_with_torch, run_layer

ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda x: torch.softmax(x, -1),
    "gelu": F.gelu,
}


def case(family, name, layer, shapes, torch_function, attributes, low=-1.0, high=1.0, **run):
    random = Random(f"{family.name}/{name}")
    inputs = [random.uniform(*shape, low=low, high=high) for shape in shapes]
    result = run_layer(layer, inputs, random, **run)
    if torch_function:
        check_with_torch(name, result, torch_function)
    family.add(name, attributes, **result)


def dense():
    with Family("dense") as family:
        for activation, function in ACTIVATIONS.items():
            case(family, activation, layers.Dense(7, activation=activation), [(5, 10)],
                 lambda x, kernel, bias, f=function: f(x @ kernel + bias), {"units": 7, "activation": activation})
        case(family, "no_bias", layers.Dense(3, use_bias=False), [(4, 6)], lambda x, kernel: x @ kernel,
             {"units": 3, "use_bias": False})
        case(family, "rank3", layers.Dense(4, activation="relu"), [(2, 3, 5)],
             lambda x, kernel, bias: torch.relu(x @ kernel + bias), {"units": 4, "activation": "relu"})
        case(family, "one_by_one", layers.Dense(1), [(1, 1)], lambda x, kernel, bias: x @ kernel + bias, {"units": 1})
        case(family, "wide", layers.Dense(65, activation="relu"), [(3, 33)],
             lambda x, kernel, bias: torch.relu(x @ kernel + bias), {"units": 65, "activation": "relu"})


def same_pads(size, window, stride, dilation=1):
    """Keras's "same": the odd padding element goes behind."""
    extent = (window - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def pad_same(x, window, strides, dilation=(1, 1), value=0.0):
    top, bottom = same_pads(x.shape[2], window[0], strides[0], dilation[0])
    left, right = same_pads(x.shape[3], window[1], strides[1], dilation[1])
    return F.pad(x, (left, right, top, bottom), value=value)


def torch_conv(attributes):
    strides, dilation = attributes["strides"], attributes["dilation_rate"]

    def function(x, kernel, bias=None):
        x = x.permute(0, 3, 1, 2)
        if attributes["padding"] == "same":
            x = pad_same(x, attributes["kernel_size"], strides, dilation)
        elif attributes["padding"] == "explicit":
            (top, bottom), (left, right) = attributes["pads"]
            x = F.pad(x, (left, right, top, bottom))
        y = F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, strides, 0, dilation, attributes["groups"])
        return ACTIVATIONS[attributes["activation"]](y.permute(0, 2, 3, 1))

    return function


def conv2d():
    from keras import Sequential
    cases = {
        # name: input [batch, height, width, channels], filters, kernel, further attributes
        "valid_3x3": ((2, 7, 6, 3), 4, (3, 3), {}),
        "valid_1_channel_relu": ((2, 8, 8, 1), 5, (3, 3), {"activation": "relu"}),
        "valid_5x5": ((1, 9, 8, 2), 3, (5, 5), {}),
        "valid_1x1": ((2, 4, 5, 3), 6, (1, 1), {}),
        "valid_2x3_stride_2x1": ((2, 7, 8, 2), 3, (2, 3), {"strides": (2, 1)}),
        "valid_stride_2_leaves_a_row": ((1, 8, 8, 2), 3, (3, 3), {"strides": (2, 2)}),
        "same_3x3": ((2, 5, 7, 3), 4, (3, 3), {"padding": "same"}),
        "same_4x2": ((1, 6, 5, 2), 3, (4, 2), {"padding": "same"}),
        "same_stride_2_odd": ((2, 7, 5, 2), 3, (3, 3), {"padding": "same", "strides": (2, 2)}),
        "same_stride_2_even": ((2, 8, 6, 2), 3, (3, 3), {"padding": "same", "strides": (2, 2)}),
        "same_stride_3": ((1, 10, 8, 2), 2, (2, 2), {"padding": "same", "strides": (3, 3)}),
        "valid_dilation_2": ((1, 9, 8, 2), 3, (3, 3), {"dilation_rate": (2, 2)}),
        "same_dilation_2x3": ((1, 9, 8, 2), 3, (3, 2), {"dilation_rate": (2, 3), "padding": "same"}),
        "groups_2": ((2, 6, 6, 4), 6, (3, 3), {"groups": 2}),
        "depthwise": ((2, 6, 5, 3), 3, (3, 3), {"groups": 3, "padding": "same"}),
        "no_bias_tanh": ((1, 5, 5, 2), 3, (3, 3), {"use_bias": False, "activation": "tanh"}),
        "window_is_the_image": ((3, 4, 5, 2), 3, (4, 5), {}),
        "explicit_padding": ((2, 5, 6, 2), 3, (3, 3), {"padding": "explicit", "pads": ((1, 2), (0, 3))}),
        "explicit_padding_stride_2": ((1, 7, 6, 2), 3, (3, 3), {"padding": "explicit", "pads": ((1, 1), (1, 1)), "strides": (2, 2)}),
        "wide": ((1, 6, 6, 17), 33, (3, 3), {"activation": "relu"}),
    }
    with Family("conv2d") as family:
        for name, (shape, filters, kernel, given) in cases.items():
            attributes = {"filters": filters, "kernel_size": kernel, "strides": (1, 1), "padding": "valid", "groups": 1,
                          "dilation_rate": (1, 1), "use_bias": True, "activation": "linear", **given}
            keras_attributes = {k: v for k, v in attributes.items() if k != "pads"}
            pads = keras_attributes["padding"] == "explicit"
            if pads:
                keras_attributes["padding"] = "valid"
            layer = layers.Conv2D(**keras_attributes)
            if pads:
                layer = Sequential([layers.ZeroPadding2D(attributes["pads"]), layer])
            case(family, name, layer, [shape], torch_conv(attributes), attributes)


def torch_pool(kind, attributes):
    window, strides, same = attributes["pool_size"], attributes["strides"], attributes["padding"] == "same"

    def function(x):
        x = x.permute(0, 3, 1, 2)
        if kind == "max":
            y = F.max_pool2d(pad_same(x, window, strides, value=-torch.inf) if same else x, window, strides)
        else:
            ones = torch.ones_like(x)
            pad = (lambda v: pad_same(v, window, strides)) if same else (lambda v: v)
            y = F.avg_pool2d(pad(x), window, strides) / F.avg_pool2d(pad(ones), window, strides)
        return y.permute(0, 2, 3, 1)

    return function


def pooling():
    windows = {
        "valid_even": ((2, 6, 8, 3), (2, 2), (2, 2), "valid"),
        "valid_odd": ((2, 7, 5, 3), (2, 2), (2, 2), "valid"),
        "same_odd": ((2, 7, 5, 3), (2, 2), (2, 2), "same"),
        "valid_overlap": ((1, 7, 8, 2), (3, 3), (2, 2), "valid"),
        "same_overlap": ((1, 7, 8, 2), (3, 3), (2, 2), "same"),
        "same_stride_1": ((1, 5, 4, 2), (3, 2), (1, 1), "same"),
        "valid_2x3_stride_1x2": ((1, 5, 8, 2), (2, 3), (1, 2), "valid"),
        "valid_stride_over_window": ((1, 8, 9, 2), (2, 2), (3, 3), "valid"),
    }
    for kind, make in (("max", layers.MaxPooling2D), ("average", layers.AveragePooling2D)):
        with Family(f"{kind}_pooling2d") as family:
            for name, (shape, window, strides, padding) in windows.items():
                attributes = {"pool_size": window, "strides": strides, "padding": padding}
                case(family, name, make(**attributes), [shape], torch_pool(kind, attributes), attributes)
    with Family("global_pooling2d") as family:
        case(family, "max", layers.GlobalMaxPooling2D(), [(3, 5, 4, 6)], lambda x: x.amax((1, 2)), {"kind": "max"})
        case(family, "average", layers.GlobalAveragePooling2D(), [(3, 5, 4, 6)], lambda x: x.mean((1, 2)), {"kind": "average"})
        case(family, "max_keepdims", layers.GlobalMaxPooling2D(keepdims=True), [(2, 3, 3, 2)],
             lambda x: x.amax((1, 2), keepdim=True), {"kind": "max", "keepdims": True})
        case(family, "average_keepdims", layers.GlobalAveragePooling2D(keepdims=True), [(2, 3, 3, 2)],
             lambda x: x.mean((1, 2), keepdim=True), {"kind": "average", "keepdims": True})


def merge():
    shapes = {"equal": [(3, 4), (3, 4)], "three": [(2, 3), (2, 3), (2, 3)], "row": [(2, 4, 5), (2, 1, 5)], "column": [(4, 5), (4, 1)],
              "both_ways": [(2, 4, 1, 3), (2, 1, 5, 3)], "image_and_channels": [(2, 3, 4, 5), (2, 1, 1, 5)]}
    for op, make in (("add", layers.Add), ("multiply", layers.Multiply)):
        with Family(op) as family:
            for name, inputs in shapes.items():
                def function(*xs):
                    y = xs[0]
                    for x in xs[1:]:
                        y = y + x if op == "add" else y * x
                    return y
                case(family, name, make(), inputs, function, {})
    with Family("concatenate") as family:
        for name, axis, inputs in (("last", -1, [(3, 2), (3, 5)]), ("three_middle", 1, [(2, 1, 3), (2, 4, 3), (2, 2, 3)]),
                                   ("images", 3, [(2, 3, 3, 2), (2, 3, 3, 1)])):
            case(family, name, layers.Concatenate(axis), inputs, lambda *xs, a=axis: torch.cat(xs, a), {"axis": axis})


def activation():
    with Family("activation") as family:
        for name, function in ACTIVATIONS.items():
            layer = layers.Activation(name)
            case(family, name, layer, [(7, 9)], function, {"activation": name}, low=-6.0, high=6.0)
            random = Random(f"activation/{name}_edges")
            # Zero, numbers whose exponential overflows float32, and the largest that do not.
            edges = np.array([[0.0, -0.0, 1e-30, -1e-30, 88.0, -88.0, 104.0, -104.0, 20.0, -20.0, 300.0, -300.0]])
            result = run_layer(layers.Activation(name), [edges.astype(np.float32).astype(np.float64)], random)
            check_with_torch(name, result, function)
            family.add(f"{name}_edges", {"activation": name}, **result)


def batch_normalization():
    def torch_train(x, gamma=None, beta=None, epsilon=1e-3):
        axes = tuple(range(x.dim() - 1))
        y = (x - x.mean(axes)) / torch.sqrt(x.var(axes, unbiased=False) + epsilon)
        y = y * gamma if gamma is not None else y
        return y + beta if beta is not None else y

    with Family("batch_normalization") as family:
        for name, shape, attributes in (
            ("dense", (8, 5), {}),
            ("image", (3, 4, 5, 6), {}),
            ("momentum_epsilon", (6, 3), {"momentum": 0.9, "epsilon": 1e-5}),
            ("no_scale", (6, 3), {"scale": False}),
            ("no_center", (6, 3), {"center": False}),
            ("one_sample", (1, 4), {}),
        ):
            for training in (True, False):
                layer = layers.BatchNormalization(**attributes)
                layer.build(shape)
                random = Random(f"batch_normalization/{name}/moving")
                mean, variance = random.uniform(shape[-1]), random.uniform(shape[-1], low=0.5, high=2.0)
                layer.moving_mean.assign(mean)
                layer.moving_variance.assign(variance)
                epsilon = attributes.get("epsilon", 1e-3)

                def torch_infer(x, gamma=None, beta=None):
                    y = (x - torch.tensor(mean)) / torch.sqrt(torch.tensor(variance) + epsilon)
                    y = y * gamma if gamma is not None else y
                    return y + beta if beta is not None else y

                run = Random(f"batch_normalization/{name}")
                result = run_layer(layer, [run.uniform(*shape, low=-2.0, high=3.0)], run, training=training)
                check_with_torch(name, result, (lambda *a, **k: torch_train(*a, **k, epsilon=epsilon)) if training else torch_infer)
                result.update(weight__moving_mean=mean, weight__moving_variance=variance)
                full = {"momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True, **attributes, "training": training}
                family.add(f"{name}_{'train' if training else 'inference'}", full, **result)


def rescaling():
    with Family("rescaling") as family:
        case(family, "bytes_to_unit", layers.Rescaling(1 / 255), [(2, 4, 3)], lambda x: x / 255, {"scale": 1 / 255, "offset": 0.0},
             low=0, high=255)
        case(family, "to_minus_one_one", layers.Rescaling(1 / 127.5, offset=-1), [(2, 4, 3)], lambda x: x / 127.5 - 1,
             {"scale": 1 / 127.5, "offset": -1.0}, low=0, high=255)


FAMILIES = [dense, conv2d, pooling, merge, activation, batch_normalization, rescaling]
