"""What the golden scripts share: reproducible numbers, running a Keras layer in float64, and the file format."""

import json
import os
import pathlib
import zlib

os.environ.setdefault("KERAS_BACKEND", "jax")  # the backend that has every gradient in float64 on a CPU
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import jax
import keras
import numpy as np
import torch

# Keras promotes to float64 on TensorFlow alone; elsewhere tanh, exp and others would round to float32 on the way.
keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")

FOLDER = pathlib.Path(__file__).resolve().parent


class Random:
    """Numbers that float32 holds exactly, from a generator seeded by the case's name."""

    def __init__(self, name):
        self.generator = np.random.default_rng(zlib.crc32(name.encode()))

    def uniform(self, *shape, low=-1.0, high=1.0):
        return self.generator.uniform(low, high, shape).astype(np.float32).astype(np.float64)

    def integers(self, *shape, high):
        return self.generator.integers(0, high, shape).astype(np.int32)


def write_safetensors(path, tensors, metadata):
    """The same bytes for the same values, which the safetensors package does not promise (its metadata are unordered)."""
    types = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "uint8": "U8"}
    header, data = {"__metadata__": metadata}, []
    end = 0
    # Wide elements first, so that every tensor is aligned to its element.
    for name, value in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        begin, end = end, end + value.nbytes
        header[name] = {"dtype": types[value.dtype.name], "shape": value.shape, "data_offsets": [begin, end]}
        data.append(np.ascontiguousarray(value).tobytes())
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))


class Family:
    """The cases of one file, written at the end of `with Family("dense") as family`."""

    def __init__(self, name):
        self.name, self.tensors, self.metadata = name, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed:
            return
        path = FOLDER / f"{self.name}.safetensors"
        self.metadata["generator"] = f"keras {keras.__version__} on jax {jax.__version__}, torch {torch.__version__}"
        write_safetensors(path, self.tensors, self.metadata)
        print(f"{path.name}: {len(self.metadata) - 1} cases, {len(self.tensors)} tensors, {path.stat().st_size:,} bytes")

    def add(self, case, attributes, **tensors):
        """Inputs, weights and cotangents are kept in float32 (exactly), what was computed in float64."""
        assert case not in self.metadata, case
        self.metadata[case] = json.dumps(attributes, sort_keys=True)
        for name, value in tensors.items():
            value = np.asarray(value)
            assert value.dtype.kind != "f" or np.all(np.isfinite(value)), (case, name)
            kind, _, part = name.partition("__")
            if kind in ("input", "weight", "cotangent", "initial_state") and value.dtype.kind == "f":
                assert np.array_equal(value.astype(np.float32), value), (case, name)
                value = value.astype(np.float32)
            if value.dtype == bool:
                value = value.astype(np.uint8)
            self.tensors[f"{case}/{kind}:{part}" if part else f"{case}/{kind}"] = value


def agree(what, a, b, tolerance=1e-10):
    """The two peers must tell the same story before it is written down."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape, f"{what}: {a.shape} and {b.shape}"
    difference = np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)
    assert difference <= tolerance or np.linalg.norm(a - b) < 1e-14, f"{what}: Keras and PyTorch differ by {difference:.2e}"


def layer_weights(layer, random, scale=0.5):
    """Sets and returns the trainable weights by their Keras names; biases too, which Keras would start at zero."""
    weights = {}
    for variable in layer.trainable_variables:
        side = next((s for s in ("forward_", "backward_") if f"/{s}" in variable.path), "")  # of a Bidirectional
        assert side + variable.name not in weights
        variable.assign(random.uniform(*variable.shape, low=-scale, high=scale))
        weights[side + variable.name] = np.array(variable)
    return weights


def run_layer(layer, inputs, random, states=(), training=False, **call):
    """Output, cotangent and every gradient of sum(output * cotangent), in float64.

    Integer inputs get no gradient. Layers with several outputs get one cotangent for each. `states` is what a recurrent
    layer starts from.
    """
    if not layer.built:
        layer.build(inputs[0].shape if len(inputs) == 1 else [x.shape for x in inputs])
    weights = layer_weights(layer, random)
    trainable = list(weights.values())
    state = [np.array(v) for v in layer.non_trainable_variables]
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    if training:
        call["training"] = True

    def forward(trainable, chosen, states):
        full = list(inputs)
        for i, x in zip(floats, chosen):
            full[i] = x
        initial = {"initial_state": states} if states else {}
        return layer.stateless_call(trainable, state, full[0] if len(full) == 1 else full, **call, **initial)

    outputs, pull_back, new_state = jax.vjp(forward, trainable, [inputs[i] for i in floats], list(states), has_aux=True)
    leaves, tree = jax.tree_util.tree_flatten(outputs)
    assert all(leaf.dtype == "float64" for leaf in leaves), "Keras rounded on the way"
    cotangents = [random.uniform(*leaf.shape) for leaf in leaves]
    grad_weights, grad_inputs, grad_states = pull_back(jax.tree_util.tree_unflatten(tree, [jax.numpy.asarray(c) for c in cotangents]))

    def numbered(kind, values):
        return {kind if len(values) == 1 else f"{kind}__{i}": np.asarray(v) for i, v in enumerate(values)}

    result = {**numbered("input", inputs), **numbered("output", leaves), **numbered("cotangent", cotangents)}
    result.update({f"weight__{name}": value for name, value in weights.items()})
    result.update({f"grad__{name}": np.asarray(g) for name, g in zip(weights, grad_weights)})
    for i, gradient in zip(floats, grad_inputs):
        result["grad__input" if len(inputs) == 1 else f"grad__input_{i}"] = np.asarray(gradient)
    for i, (value, gradient) in enumerate(zip(states, grad_states)):
        result[f"initial_state__{i}"], result[f"grad__initial_state_{i}"] = value, np.asarray(gradient)
    result.update({f"state__{v.name}": np.asarray(s) for v, s in zip(layer.non_trainable_variables, new_state)
                   if v.dtype == "float64"})
    return result


def check_with_torch(case, result, function):
    """`function(*inputs, **weights)`, with states=[...] where there are some, must give the same in PyTorch."""
    def leaf(value):
        value = torch.tensor(np.asarray(value))
        return value.requires_grad_() if value.is_floating_point() else value

    def all_of(kind):
        return [leaf(v) for k, v in result.items() if k.split("__")[0] == kind]

    inputs, states = all_of("input"), all_of("initial_state")
    weights = {k.split("__", 1)[1]: leaf(v) for k, v in result.items() if k.startswith("weight__")}
    outputs = function(*inputs, **weights, **({"states": states} if states else {}))
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    sum((y * c).sum() for y, c in zip(outputs, all_of("cotangent"))).backward()

    wanted = [v for k, v in result.items() if k.split("__")[0] == "output"]
    assert len(wanted) == len(outputs), case
    for y, want in zip(outputs, wanted):
        agree(f"{case} output", want, y.detach().numpy())
    leaves = {**weights, **{f"initial_state_{i}": s for i, s in enumerate(states)}}
    leaves.update({"input" if len(inputs) == 1 else f"input_{i}": x for i, x in enumerate(inputs) if x.is_floating_point()})
    for name, value in leaves.items():
        agree(f"{case} grad:{name}", result[f"grad__{name}"], value.grad.numpy() if value.grad is not None else np.zeros(value.shape))
