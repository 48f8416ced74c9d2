"""Golden cases of the layers over sequences, each made by Keras and confirmed by a loop over time in PyTorch.

Masks are in `case/mask` (U8, [batch, time], 1: a real step). The output of a masked step is the state before it; so too
for steps before the first real one, where Keras on TensorFlow writes zeros instead of a given initial state. In the
sequences of a Bidirectional the masked steps are zero. Gate orders are Keras's: GRU z, r, h; LSTM i, f, c, o.
"""

import numpy as np
import torch
import torch.nn.functional as F
from keras import layers

from golden import Family, Random, agree, check_with_torch, run_layer

ACTIVATIONS = {"linear": lambda x: x, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": F.gelu}
BATCH, INPUT, UNITS = 3, 4, 5


def times(x, weights, masks=None):
    """x times the weights of all gates, after the dropout masks of x [batch, 1 or gates, features]: one for all, or one for each."""
    if masks is None:
        return x @ weights
    parts = weights.chunk(masks.shape[1], -1)
    return torch.cat([(x * masks[:, k]) @ part for k, part in enumerate(parts)], -1)


NO_DROPOUT = (None, None)  # masks of the input, masks of the state


def simple_step(x, states, kernel, recurrent_kernel, bias, attributes, dropout=NO_DROPOUT):
    act = ACTIVATIONS[attributes.get("activation", "tanh")]
    return [act(times(x, kernel, dropout[0]) + bias + times(states[0], recurrent_kernel, dropout[1]))]


def gru_step(x, states, kernel, recurrent_kernel, bias, attributes, dropout=NO_DROPOUT):
    act = ACTIVATIONS[attributes.get("activation", "tanh")]
    gate = ACTIVATIONS[attributes.get("recurrent_activation", "sigmoid")]
    h, after = states[0], attributes.get("reset_after", True)
    input_bias, recurrent_bias = (bias[0], bias[1]) if after and bias.dim() == 2 else (bias, torch.zeros_like(bias))
    xz, xr, xh = (times(x, kernel, dropout[0]) + input_bias).chunk(3, -1)
    rz, rr, rh = (times(h, recurrent_kernel, dropout[1]) + recurrent_bias).chunk(3, -1)
    z, r = gate(xz + rz), gate(xr + rr)
    of_candidate = None if dropout[1] is None else dropout[1][:, 2:]
    candidate = act(xh + (r * rh if after else times(r * h, recurrent_kernel.chunk(3, -1)[2], of_candidate)))
    return [z * h + (1 - z) * candidate]


def lstm_step(x, states, kernel, recurrent_kernel, bias, attributes, dropout=NO_DROPOUT):
    act = ACTIVATIONS[attributes.get("activation", "tanh")]
    gate = ACTIVATIONS[attributes.get("recurrent_activation", "sigmoid")]
    h, c = states
    i, f, g, o = (times(x, kernel, dropout[0]) + times(h, recurrent_kernel, dropout[1]) + bias).chunk(4, -1)
    c = gate(f) * c + gate(i) * act(g)
    return [gate(o) * act(c), c]


KINDS = {"simple_rnn": (layers.SimpleRNN, simple_step, 1), "gru": (layers.GRU, gru_step, 1), "lstm": (layers.LSTM, lstm_step, 2)}


def over_time(step, state_count, attributes, x, mask, states, kernel, recurrent_kernel, bias=None, dropout=NO_DROPOUT):
    """The sequence of outputs, in the order they were computed, and the last states."""
    if bias is None:
        bias = torch.zeros(kernel.shape[1], dtype=x.dtype)
    states = states or [torch.zeros(x.shape[0], UNITS, dtype=x.dtype) for _ in range(state_count)]
    outputs = []
    for t in reversed(range(x.shape[1])) if attributes.get("go_backwards") else range(x.shape[1]):
        new = step(x[:, t], states, kernel, recurrent_kernel, bias, attributes, dropout)
        if mask is None:
            states = new
        else:  # a masked step changes nothing: its output is the state before it
            states = [torch.where(torch.tensor(mask[:, t, None]), n, s) for n, s in zip(new, states)]
        zero = mask is not None and attributes.get("zero_output_for_mask")
        outputs.append(states[0] * torch.tensor(mask[:, t, None]) if zero else states[0])
    return torch.stack(outputs, 1), states


def torch_recurrent(step, state_count, attributes, mask):
    def function(x, kernel, recurrent_kernel, bias=None, states=None):
        sequence, last = over_time(step, state_count, attributes, x, mask, states, kernel, recurrent_kernel, bias)
        output = sequence if attributes.get("return_sequences") else sequence[:, -1]
        return [output, *last] if attributes.get("return_state") else output

    return function


MASKS = {
    "padded_behind": [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]],
    "padded_in_front": [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 1, 1, 1, 1]],
    "with_holes_and_an_empty_row": [[1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]],
}


def recurrent(kind):
    make, step, state_count = KINDS[kind]
    cases = {  # name: (time steps, attributes, mask, start from given states)
        "t1": (1, {}, None, False),
        "t2": (2, {}, None, False),
        "t7": (7, {}, None, False),
        "sequences": (7, {"return_sequences": True}, None, False),
        "state": (4, {"return_state": True}, None, False),
        "sequences_and_state_from_initial": (4, {"return_sequences": True, "return_state": True}, None, True),
        "backwards": (5, {"go_backwards": True, "return_sequences": True}, None, False),
        "no_bias": (4, {"use_bias": False}, None, False),
        "relu": (4, {"activation": "relu"}, None, False),
    }
    if kind != "simple_rnn":
        cases["gelu_with_tanh_gates"] = (4, {"activation": "gelu", "recurrent_activation": "tanh"}, None, False)
    if kind == "gru":
        cases["reset_before"] = (7, {"reset_after": False, "return_sequences": True}, None, False)
        cases["reset_before_from_initial"] = (3, {"reset_after": False, "return_state": True}, None, True)
        cases["reset_before_no_bias"] = (3, {"reset_after": False, "use_bias": False}, None, False)
    for name, mask in MASKS.items():
        cases[name] = (5, {}, mask, False)
        cases[f"{name}_sequences"] = (5, {"return_sequences": True, "return_state": True}, mask, True)
    for name in ("padded_behind", "padded_in_front"):
        cases[f"{name}_backwards"] = (5, {"return_sequences": True, "go_backwards": True}, MASKS[name], False)

    with Family(kind) as family:
        for name, (steps, attributes, mask, with_states) in cases.items():
            random = Random(f"{kind}/{name}")
            mask = np.array(mask, bool) if mask else None
            states = [random.uniform(BATCH, UNITS) for _ in range(state_count)] if with_states else []
            result = run_layer(make(UNITS, **attributes), [random.uniform(BATCH, steps, INPUT)], random, states,
                               **({} if mask is None else {"mask": mask}))
            check_with_torch(f"{kind} {name}", result, torch_recurrent(step, state_count, attributes, mask))
            if name == "sequences":
                check_with_torch_module(kind, result)
            family.add(name, {"units": UNITS, **attributes}, **result, **({} if mask is None else {"mask": mask}))


def check_with_torch_module(kind, result):
    """PyTorch's own layer, whose gates lie in another order and whose GRU resets after."""
    module = {"simple_rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](INPUT, UNITS, batch_first=True).double()
    order = {"simple_rnn": [0], "gru": [1, 0, 2], "lstm": [0, 1, 2, 3]}[kind]

    def gates(w):
        parts = np.split(np.asarray(w), len(order), -1)
        return torch.tensor(np.concatenate([parts[i] for i in order], -1).T.copy())

    bias = result["weight__bias"]
    two = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    with torch.no_grad():
        module.weight_ih_l0.copy_(gates(result["weight__kernel"]))
        module.weight_hh_l0.copy_(gates(result["weight__recurrent_kernel"]))
        module.bias_ih_l0.copy_(gates(two[0]))
        module.bias_hh_l0.copy_(gates(two[1]))
    agree(f"torch.nn for {kind}", result["output"], module(torch.tensor(result["input"]))[0].detach().numpy())


def bidirectional_cases():
    """name: kind, merge mode, sequences, mask, further attributes"""
    for kind in KINDS:
        for merge in ("concat", "sum", "mul", "ave", None) if kind == "gru" else ("concat",):
            for sequences in (False, True):
                for mask in (None, "padded_behind") if merge == "concat" else (None,):
                    yield "_".join([kind, merge or "apart"] + ["sequences"] * sequences + [mask] * bool(mask)), kind, merge, sequences, mask, {}
        states = {"return_state": True, "initial_states": True}
        yield f"{kind}_from_states", kind, "concat", False, None, states
        yield f"{kind}_sequences_from_states_padded_in_front", kind, "concat", True, "padded_in_front", states
    for merge in ("concat", "sum", "mul", "ave", None):
        yield f"gru_{merge or 'apart'}_sequences_padded_in_front", "gru", merge, True, "padded_in_front", {}
    yield "gru_concat_padded_in_front", "gru", "concat", False, "padded_in_front", {}
    yield "gru_apart_states", "gru", None, True, None, {"return_state": True}
    yield "lstm_mul_sequences_with_holes_and_an_empty_row", "lstm", "mul", True, "with_holes_and_an_empty_row", {}
    for mask in (None, "with_holes_and_an_empty_row"):
        name = "_".join(["lstm_backward_layer"] + [mask] * bool(mask))
        yield name, "lstm", "concat", True, mask, {"backward_layer": {"layer": "lstm", "activation": "relu"}}


def bidirectional():
    with Family("bidirectional") as family:
        for name, kind, merge, sequences, mask, further in bidirectional_cases():
            make, step, state_count = KINDS[kind]
            returns_state = further.get("return_state", False)
            random = Random(f"bidirectional/{name}")
            array = np.array(MASKS[mask], bool) if mask else None
            options = {"return_sequences": sequences, "return_state": returns_state}
            second = further.get("backward_layer")
            backward = make(UNITS, activation=second["activation"], go_backwards=True, name=f"backward_{kind}", **options) if second else None
            layer = layers.Bidirectional(make(UNITS, name=kind, **options), merge_mode=merge, backward_layer=backward)
            x = random.uniform(BATCH, 5, INPUT)
            states = [random.uniform(BATCH, UNITS) for _ in range(2 * state_count)] if further.get("initial_states") else []
            result = run_layer(layer, [x], random, states, **({"mask": array} if mask else {}))

            def function(x, states=None, **w):
                sides, last_states = [], []
                for side, backwards in (("forward", False), ("backward", True)):
                    own = {k.removeprefix(f"{side}_"): v for k, v in w.items() if k.startswith(side)}
                    options = {"go_backwards": backwards, "zero_output_for_mask": True}  # as Keras documents
                    if backwards and second:
                        options["activation"] = second["activation"]
                    start = None if states is None else states[state_count * backwards:state_count * (1 + backwards)]
                    y, last = over_time(step, state_count, options, x, array, start, *(own[k] for k in ("kernel", "recurrent_kernel", "bias")))
                    sides.append((y.flip(1) if backwards else y) if sequences else last[0])
                    last_states += last
                a, b = sides
                merged = {"concat": lambda: [torch.cat([a, b], -1)], "sum": lambda: [a + b], "mul": lambda: [a * b],
                          "ave": lambda: [(a + b) / 2], None: lambda: [a, b]}[merge]()
                return merged + last_states * returns_state

            check_with_torch(f"bidirectional {name}", result, function)
            attributes = {"layer": kind, "units": UNITS, "merge_mode": merge, "return_sequences": sequences, **further}
            family.add(name, attributes, **result, **({"mask": array} if mask else {}))


FAMILIES = [lambda kind=kind: recurrent(kind) for kind in KINDS] + [bidirectional]
