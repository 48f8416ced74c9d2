"""Golden cases of the losses: value, value per sample, and gradient with respect to the predictions.

`case/input` are the predictions, `case/target` and, in weighted cases, `case/sample_weight` the rest; `case/output` is
the loss as compile() uses it (the mean over the batch), `case/per_sample` the loss of each sample before weighting.
"""

import jax
import numpy as np
import torch
from keras import losses

from golden import Family, Random, agree

EPSILON = 1e-7  # Keras keeps probabilities this far from 0 and 1


def log_clipped(p):
    return torch.log(torch.clamp(p, EPSILON, 1 - EPSILON))


def squared(y, p, **_):
    return ((y - p) ** 2).mean(-1)


def binary(y, p, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        each = torch.clamp(p, min=0) - p * y + torch.log1p(torch.exp(-p.abs()))
    else:
        q = torch.clamp(p, EPSILON, 1 - EPSILON)
        each = -(y * torch.log(q) + (1 - y) * torch.log(1 - q))
    return each.mean(-1)


def categorical(y, p, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / y.shape[-1]
    log = torch.log_softmax(p, -1) if from_logits else log_clipped(p / p.sum(-1, keepdim=True))
    return -(y * log).sum(-1)


def sparse(y, p, **attributes):
    return categorical(torch.nn.functional.one_hot(y.long(), p.shape[-1]).to(p.dtype), p, **attributes)


def add(family, name, loss, attributes, torch_loss, target, prediction, weight=None):
    def value(p):
        return loss(target, p, sample_weight=weight)

    result = {"input": prediction, "target": target, "output": value(prediction), "grad__input": jax.grad(value)(prediction)}
    result["per_sample"] = loss.call(target, prediction)
    if weight is not None:
        result["sample_weight"] = weight

    p = torch.tensor(prediction, requires_grad=True)
    each = torch_loss(torch.tensor(target), p, **attributes)
    agree(f"{name} per sample", result["per_sample"], each.detach())
    total = (each * (1 if weight is None else torch.tensor(weight))).sum() / each.numel()
    total.backward()
    agree(f"{name} value", result["output"], total.detach())
    agree(f"{name} gradient", result["grad__input"], p.grad)
    family.add(name, {**attributes, "weighted": weight is not None}, **result)


def distributions(random, *shape):
    p = random.uniform(*shape, low=0.05, high=1.0)
    return (p / p.sum(-1, keepdims=True)).astype(np.float32).astype(np.float64)


def one_hot(classes, count):
    return np.eye(count)[classes]


def mean_squared_error():
    with Family("mean_squared_error") as family:
        for shape in ((6, 3), (4, 1), (3, 2, 5)):
            for weighted in (False, True):
                name = "x".join(map(str, shape)) + ("_weighted" if weighted else "")
                random = Random(f"mse/{name}")
                weight = random.uniform(shape[0], low=0.0, high=2.0) if weighted and len(shape) == 2 else None
                if weighted and weight is None:
                    weight = random.uniform(*shape[:-1], low=0.0, high=2.0)
                add(family, name, losses.MeanSquaredError(), {}, squared, random.uniform(*shape), random.uniform(*shape), weight)


def binary_crossentropy():
    with Family("binary_crossentropy") as family:
        for shape in ((7, 1), (4, 3)):
            for from_logits in (False, True):
                for smoothing in (0.0, 0.1):
                    for weighted in (False, True):
                        name = "_".join(["x".join(map(str, shape)), "logits" if from_logits else "probabilities"]
                                        + ["smoothed"] * (smoothing > 0) + ["weighted"] * weighted)
                        random = Random(f"binary/{name}")
                        target = random.integers(*shape, high=2).astype(np.float64)
                        prediction = random.uniform(*shape, low=-5, high=5) if from_logits else random.uniform(*shape, low=0.01, high=0.99)
                        weight = random.uniform(shape[0], low=0.0, high=2.0) if weighted else None
                        attributes = {"from_logits": from_logits, "label_smoothing": smoothing}
                        add(family, name, losses.BinaryCrossentropy(**attributes), attributes, binary, target, prediction, weight)
        target = np.array([[0.0], [0.0], [1.0], [1.0]])
        for from_logits, edges in ((False, [0.0, 1.0, 0.0, 1.0]), (True, [-200.0, 200.0, -200.0, 200.0])):
            attributes = {"from_logits": from_logits, "label_smoothing": 0.0}
            name = "edges_" + ("logits" if from_logits else "probabilities")
            loss = losses.BinaryCrossentropy(**attributes)
            prediction = np.array(edges)[:, None]
            if from_logits:
                add(family, name, loss, attributes, binary, target, prediction)
            else:  # at the clip the slope is a matter of taste, so the value alone is kept
                family.add(name, {**attributes, "weighted": False}, input=prediction, target=target,
                           output=loss(target, prediction), per_sample=loss.call(target, prediction))


def crossentropies():
    families = (("categorical_crossentropy", losses.CategoricalCrossentropy, categorical),
                ("sparse_categorical_crossentropy", losses.SparseCategoricalCrossentropy, sparse))
    for family_name, make, torch_loss in families:
        is_sparse = torch_loss is sparse
        with Family(family_name) as family:
            for shape in ((6, 10), (5, 2), (2, 3, 4)):
                for from_logits in (False, True):
                    for smoothing in (0.0,) if is_sparse else (0.0, 0.1):
                        for weighted in (False, True):
                            name = "_".join(["x".join(map(str, shape)), "logits" if from_logits else "probabilities"]
                                            + ["smoothed"] * (smoothing > 0) + ["weighted"] * weighted)
                            random = Random(f"{family_name}/{name}")
                            classes = random.integers(*shape[:-1], high=shape[-1])
                            prediction = random.uniform(*shape, low=-4, high=4) if from_logits else distributions(random, *shape)
                            weight = random.uniform(*shape[:-1], low=0.0, high=2.0) if weighted else None
                            attributes = {"from_logits": from_logits}
                            if not is_sparse:
                                attributes["label_smoothing"] = smoothing
                            target = classes if is_sparse else one_hot(classes, shape[-1])
                            add(family, name, make(**attributes), attributes, torch_loss, target, prediction, weight)


FAMILIES = [mean_squared_error, binary_crossentropy, crossentropies]
