"""Losses and metrics of networks whose output has a mask: evaluation and training over batches, one of them all padding.

Seven samples in batches of 3, 3 and 1; the second holds nothing but padding. `case/evaluated` is (loss, accuracy) of
evaluate() before training and `case/evaluated_after` after it, `case/losses` [epoch] what fit() tells of each epoch (its
accuracy is left out: on JAX the mask is lost on the way to the metrics of fit), `case/after:<layer>/<weight>` the weights
at the end. Weighted cases give each sample a weight, to Keras as [samples, 1]: it multiplies those of [samples]
with the mask as if they were steps. Evaluation is confirmed by formula: a batch's loss is the sum of weighted losses over
the number of its real steps, and batches count by their samples; accuracy is over all real steps, without weights.
"""

import keras
import numpy as np
import torch
from keras import layers

import losses as formulas
from golden import Family, Random, agree

SAMPLES, BATCH, STEPS, FEATURES, EPOCHS = 7, 3, 5, 3, 3

CASES = {  # output, activation, loss, formula
    "mean_squared_error": (2, "linear", keras.losses.MeanSquaredError(), formulas.squared),
    "binary_crossentropy": (1, "sigmoid", keras.losses.BinaryCrossentropy(), formulas.binary),
    "binary_crossentropy_3": (3, "sigmoid", keras.losses.BinaryCrossentropy(), formulas.binary),
    "categorical_crossentropy": (4, "softmax", keras.losses.CategoricalCrossentropy(), formulas.categorical),
    "sparse_categorical_crossentropy": (4, "softmax", keras.losses.SparseCategoricalCrossentropy(), formulas.sparse),
}


def make_model(units, activation, loss):
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.Masking(), layers.GRU(4, return_sequences=True),
                              layers.TimeDistributed(layers.Dense(3, "tanh")), layers.Dense(units, activation)])
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
    return model


def targets(random, name, units):
    if name.startswith("mean"):
        return random.uniform(SAMPLES, STEPS, units)
    if name.startswith("binary"):
        return random.integers(SAMPLES, STEPS, units, high=2).astype(np.float64)
    classes = random.integers(SAMPLES, STEPS, high=units)
    return classes if name.startswith("sparse") else np.eye(units)[classes]


def hits(name, y, p):
    if name.startswith("binary"):
        return (y == (p > 0.5)).mean(-1)
    return (y if name.startswith("sparse") else y.argmax(-1)) == p.argmax(-1)


def confirm(name, formula, y, p, mask, weight, evaluated):
    each = formula(torch.tensor(y), torch.tensor(p)).numpy() * mask * (1 if weight is None else weight[:, None])
    loss = 0
    for begin in range(0, SAMPLES, BATCH):
        batch = slice(begin, begin + BATCH)
        real = mask[batch].sum()
        loss += each[batch].sum() / real * len(mask[batch]) if real > 0 else 0
    agree(f"{name} loss", evaluated[0], loss / SAMPLES)
    if name == "binary_crossentropy_3":
        return  # Keras calls it categorical
    agree(f"{name} accuracy", evaluated[1], (hits(name, y, p) * mask).sum() / mask.sum(), 1e-6)


def masked():
    with Family("masked") as family:
        for name, (units, activation, loss, formula) in CASES.items():
            for weighted in (False, True):
                case = name + ("_weighted" if weighted else "")
                random = Random(f"masked/{case}")
                x = random.uniform(SAMPLES, STEPS, FEATURES)
                mask = np.arange(STEPS) < np.array([5, 2, 0, 0, 0, 0, 3])[:, None]
                mask[1] = [False, True, False, True, True]
                x[~mask] = 0
                y = targets(random, name, units)
                weight = random.uniform(SAMPLES, low=0.1, high=2.0) if weighted else None
                model = make_model(units, activation, loss)
                start = {}
                for variable in model.trainable_variables:
                    path = [part for part in variable.path.split("/") if not part.endswith("_cell")]
                    start["/".join(path[-2:])] = random.uniform(*variable.shape)
                model.set_weights(list(start.values()))
                columns = {} if weight is None else {"sample_weight": weight[:, None]}
                evaluated = model.evaluate(x, y, batch_size=BATCH, verbose=0, **columns)
                confirm(name, formula, y, model.predict(x, verbose=0), mask, weight, evaluated)
                fitted = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, **columns).history
                after = model.evaluate(x, y, batch_size=BATCH, verbose=0, **columns)
                confirm(name, formula, y, model.predict(x, verbose=0), mask, weight, after)
                arrays = {f"weight__{k}": w for k, w in start.items()}
                arrays.update({f"after__{k}": np.array(v) for k, v in zip(start, model.trainable_variables)})
                if weighted:
                    arrays["sample_weight"] = weight
                family.add(case, {"loss": name, "units": units, "activation": activation, "weighted": weighted},
                           input=x, target=y, mask=mask, evaluated=evaluated, losses=fitted["loss"], evaluated_after=after, **arrays)


FAMILIES = [masked]
