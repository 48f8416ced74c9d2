"""Stateful recurrent layers: three batches, each from the state that the one before left, then the first again after a reset.

`case/input:0` to `:2`, `case/output:0` to `:2`, and `case/mask:0` to `:2` where steps are masked; `case/last_state:state_h`, ... are the
states after the third (`forward_state_h`, ... of a Bidirectional). `case/cotangent` and `case/grad:...` are of the second batch alone:
no gradient flows into the state that it starts from.
"""

import jax
import numpy as np
import torch
from keras import layers

from golden import Family, Random, agree, layer_weights
from recurrent import BATCH, INPUT, KINDS, MASKS, UNITS, over_time

BATCHES = 3


def cases():
    """name: kind, steps, attributes, masked"""
    for kind in KINDS:
        yield kind, kind, 4, {}, False
        yield f"{kind}_sequences_masked", kind, 5, {"return_sequences": True}, True
    yield "gru_reset_before", "gru", 3, {"reset_after": False}, False
    yield "lstm_one_step", "lstm", 1, {}, False
    yield "lstm_backwards", "lstm", 3, {"go_backwards": True, "return_sequences": True}, False
    yield "gru_both_directions", "gru", 3, {"return_sequences": True, "merge_mode": "concat"}, False
    yield "lstm_both_directions_masked", "lstm", 5, {"merge_mode": "sum"}, True


def confirm(name, kind, attributes, batches, masks, result):
    """The same in PyTorch, the states handed on by hand."""
    _, step, state_count = KINDS[kind]
    weights = {k.split("__")[1]: torch.tensor(v, requires_grad=True) for k, v in result.items() if k.startswith("weight__")}
    sides = ("forward_", "backward_") if "merge_mode" in attributes else ("",)
    states = {side: None for side in sides}
    for number, (batch, mask) in enumerate(zip(batches, masks)):
        x, outputs = torch.tensor(batch, requires_grad=True), []
        for side in sides:
            turned = {**attributes, "go_backwards": side == "backward_" or attributes.get("go_backwards", False)}
            own = [weights[side + part] for part in ("kernel", "recurrent_kernel", "bias")]
            sequence, last = over_time(step, state_count, turned, x, mask, states[side], *own)
            states[side] = [s.detach() for s in last]
            whole = attributes.get("return_sequences")
            outputs.append((sequence.flip(1) if side == "backward_" else sequence) if whole else last[0])
        y = outputs[0] if len(outputs) == 1 else sum(outputs) if attributes["merge_mode"] == "sum" else torch.cat(outputs, -1)
        agree(f"{name} output {number}", result[f"output__{number}"], y.detach())
        if number == 1:
            (y * torch.tensor(result["cotangent"])).sum().backward()
            agree(f"{name} grad:input", result["grad__input"], x.grad)
            for key, value in weights.items():
                agree(f"{name} grad:{key}", result[f"grad__{key}"], value.grad)
    for side in sides:
        for part, state in zip(("h", "c"), states[side]):
            agree(f"{name} state {part}", result[f"last_state__{side}state_{part}"], state)


def stateful():
    with Family("stateful") as family:
        for name, kind, steps, attributes, masked in cases():
            make, _, state_count = KINDS[kind]
            random = Random(f"stateful/{name}")
            layer = make(UNITS, stateful=True, **{k: v for k, v in attributes.items() if k != "merge_mode"})
            if "merge_mode" in attributes:
                layer = layers.Bidirectional(layer, merge_mode=attributes["merge_mode"])
            layer.build((BATCH, steps, INPUT))
            weights = layer_weights(layer, random)
            batches = [random.uniform(BATCH, steps, INPUT) for _ in range(BATCHES)]
            masks = [np.array(m, bool) for m in MASKS.values()] if masked else [None] * BATCHES
            result = {f"weight__{key}": value for key, value in weights.items()}
            for number, (x, mask) in enumerate(zip(batches, masks)):
                call = {} if mask is None else {"mask": mask}
                if number == 1:
                    frozen = [np.array(v) for v in layer.non_trainable_variables]
                    output, pull_back, _ = jax.vjp(lambda w, x: layer.stateless_call(w, frozen, x, **call), list(weights.values()), x, has_aux=True)
                    result["cotangent"] = random.uniform(*output.shape)
                    gradients, result["grad__input"] = pull_back(jax.numpy.asarray(result["cotangent"]))
                    result.update({f"grad__{key}": g for key, g in zip(weights, gradients)})
                result[f"input__{number}"], result[f"output__{number}"] = x, layer(x, **call)
                if mask is not None:
                    result[f"mask__{number}"] = mask
            for side in ("forward_", "backward_") if "merge_mode" in attributes else ("",):
                states = (getattr(layer, f"{side}layer") if side else layer).states
                result.update({f"last_state__{side}state_{part}": np.array(s) for part, s in zip(("h", "c"), states)})
            layer.reset_states()
            again = layer(batches[0], **({} if masks[0] is None else {"mask": masks[0]}))
            assert np.array_equal(again, result["output__0"]), "reset_states() did not"
            confirm(f"stateful {name}", kind, attributes, batches, masks, result)
            family.add(name, {"layer": kind, "units": UNITS, "stateful": True, "batch": BATCH, **attributes}, **result)


FAMILIES = [stateful]
