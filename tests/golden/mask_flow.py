"""Where masks go: layers that merge them, return several, or leave marked steps out of their statistics.

Functional networks on two masked inputs [7, 5, 3] that end with GRU(4) and Dense(2), so that a mask more or less shows in
everything. `case/output` is predict() before training, `case/losses` [epoch] the mean squared error of three epochs of SGD on
one batch, `case/after:<layer>/<weight>` the weights at the end, moving statistics among them. The outputs are confirmed by
formula: `merged` has what each layer must hand to the GRU, `gru` the definition of a masked GRU.
"""

import keras
import numpy as np
from keras import layers

from golden import Family, Random, agree

SAMPLES, STEPS, FEATURES, EPOCHS = 7, 5, 3, 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(x, mask, kernel, recurrent_kernel, bias, backwards=False):
    """[samples, steps, units]: where a step is masked the one before again, zeros before the first."""
    units = recurrent_kernel.shape[0]
    h, all_of_them = np.zeros((len(x), units)), []
    for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        new = z * h + (1 - z) * np.tanh(xh + r * hh)
        h = np.where(mask[:, t, None], new, h)
        all_of_them.append(h)
    return np.stack(all_of_them[::-1] if backwards else all_of_them, 1)


def add(a, b):
    return layers.Add()([a, b])



def concatenate_features(a, b):
    return layers.Concatenate()([a, b])


def concatenate_steps(a, b):
    return layers.Concatenate(1)([a, b])


def bidirectional(a, b):
    return layers.Bidirectional(layers.GRU(3, return_sequences=True, name="inner"), merge_mode=None, name="both")(a)[1]


def normalized(a, b):
    return layers.BatchNormalization(name="norm")(layers.Dense(3, name="before")(a))


def moments(x, mask):
    """Of the real steps, as Keras takes them."""
    count = mask.sum() + 1e-7
    mean = (x * mask[:, :, None]).sum((0, 1)) / count
    return mean, ((x - mean) ** 2 * mask[:, :, None]).sum((0, 1)) / count


def normal(x, mean, variance, weights):
    return (x - mean) / np.sqrt(variance + 1e-3) * weights["norm/gamma"] + weights["norm/beta"]


def merged(name, a, b, mask_a, mask_b, weights):
    """What the last GRU sees, and its mask."""
    if name == "add":
        return a + b, mask_a | mask_b
    if name == "concatenate_features":
        return np.concatenate([a, b], 2), mask_a | mask_b
    if name == "concatenate_steps":
        return np.concatenate([a, b], 1), np.concatenate([mask_a, mask_b], 1)
    if name == "concatenate_steps_of_one_masked":
        return np.concatenate([a, b], 1), np.concatenate([mask_a, np.ones_like(mask_b)], 1)
    if name == "bidirectional":
        own = [weights[f"both/backward_{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
        return gru(a, mask_a, *own, backwards=True) * mask_a[:, :, None], mask_a
    if name == "batch_normalization":
        x = a @ weights["before/kernel"] + weights["before/bias"]
        return normal(x, weights["norm/moving_mean"], weights["norm/moving_variance"], weights), mask_a
    raise KeyError(name)


def confirm_training(model, a, mask):
    """What BatchNormalization does to a batch that it trains on. Changes the moving statistics."""
    norm, weights = model.get_layer("norm"), {named(v): np.array(v) for v in model.variables}
    x = a @ weights["before/kernel"] + weights["before/bias"]
    mean, variance = moments(x, mask)
    agree("batch_normalization, training", norm(x, training=True, mask=mask), normal(x, mean, variance, weights))
    agree("moving mean", norm.moving_mean, 0.99 * weights["norm/moving_mean"] + 0.01 * mean)
    agree("moving variance", norm.moving_variance, 0.99 * weights["norm/moving_variance"] + 0.01 * variance)


CASES = {  # what is made of the two inputs, whether the second is masked
    "add": (add, True),
    "concatenate_features": (concatenate_features, True),
    "concatenate_steps": (concatenate_steps, True),
    "concatenate_steps_of_one_masked": (concatenate_steps, False),
    "bidirectional": (bidirectional, True),
    "batch_normalization": (normalized, True),
}


def named(variable):
    """Keras's path as the tests name weights: layer/weight, forward_ and backward_ before those of the directions."""
    layer, *middle, name = variable.path.removeprefix("sequential/").split("/")
    side = next((side for side in ("forward_", "backward_") if any(part.startswith(side) for part in middle)), "")
    return f"{layer}/{side}{name}"


def mask_flow():
    with Family("mask_flow") as family:
        for name, (make, both) in CASES.items():
            random = Random(f"mask_flow/{name}")
            a, b = (random.uniform(SAMPLES, STEPS, FEATURES) for _ in range(2))
            mask_a = np.arange(STEPS) < np.array([5, 2, 0, 4, 1, 3, 5])[:, None]
            mask_b = np.arange(STEPS) < np.array([3, 4, 0, 1, 5, 0, 2])[:, None]
            mask_a[3], mask_b[4] = [False, True, False, True, True], [True, False, False, True, False]
            a[~mask_a], b[~mask_b] = 0, 0
            target = random.uniform(SAMPLES, 2)
            keras.utils.clear_session()
            x, y = keras.Input((STEPS, FEATURES)), keras.Input((STEPS, FEATURES))
            marked = layers.Masking()(y) if both else y
            out = layers.Dense(2, name="dense")(layers.GRU(4, name="gru")(make(layers.Masking()(x), marked)))
            model = keras.Model([x, y], out)
            start = {}
            for variable in model.variables:
                if "seed" in variable.path:
                    continue
                low = 0.5 if "variance" in variable.path else -1.0
                start[named(variable)] = random.uniform(*variable.shape, low=low, high=2.0 if low > 0 else 1.0)
                variable.assign(start[named(variable)])
            output = model.predict([a, b], batch_size=SAMPLES, verbose=0)
            seen, mask = merged(name, a, b, mask_a, mask_b, start)
            state = gru(seen, mask, *(start[f"gru/{part}"] for part in ("kernel", "recurrent_kernel", "bias")))[:, -1]
            agree(name, output, state @ start["dense/kernel"] + start["dense/bias"])
            model.compile(keras.optimizers.SGD(0.5), "mean_squared_error")
            fitted = model.fit([a, b], target, batch_size=SAMPLES, epochs=EPOCHS, shuffle=False, verbose=0).history
            arrays = {f"weight__{key}": value for key, value in start.items()}
            arrays.update({f"after__{named(v)}": np.array(v) for v in model.variables if named(v) in start})
            if name == "batch_normalization":
                confirm_training(model, a, mask_a)
            family.add(name, {"both": both}, input__0=a, input__1=b, target=target, output=output, losses=fitted["loss"], **arrays)


FAMILIES = [mask_flow]
