"""Golden cases of the optimizers: five steps over two variables with given gradients.

`case/weight:a` [7, 5] and `:b` [5] before, `case/gradients:a` [5 steps, 7, 5], `case/after:a` [5 steps, 7, 5] the
variable after each step, `case/slot:a_momentum`, `:a_velocity` at the end. Confirmed by the formulas below, in numpy.
Also the initializers: their fans and what a million of Keras's samples amount to.
"""

import numpy as np
import torch
from keras import Variable, initializers
from keras import optimizers as keras_optimizers

from golden import Family, Random, agree

STEPS = 5
SHAPES = {"a": (7, 5), "b": (5,)}


def clipped(gradients, global_clipnorm=None, clipnorm=None, clipvalue=None):
    if clipvalue:
        gradients = [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    if clipnorm:
        gradients = [g * min(1.0, clipnorm / np.linalg.norm(g)) for g in gradients]
    if global_clipnorm:
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        gradients = [g * min(1.0, global_clipnorm / norm) for g in gradients]
    return gradients


def sgd(w, g, slots, t, learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=None):
    w = w - w * (weight_decay or 0.0) * learning_rate
    if not momentum:
        return w - learning_rate * g
    v = momentum * slots.get("momentum", np.zeros_like(w)) - learning_rate * g
    slots["momentum"] = v
    return w + momentum * v - learning_rate * g if nesterov else w + v


def adam(w, g, slots, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=None, amsgrad=False):
    w = w - w * (weight_decay or 0.0) * learning_rate
    m = slots.get("momentum", 0.0) * beta_1 + (1 - beta_1) * g
    v = slots.get("velocity", 0.0) * beta_2 + (1 - beta_2) * g**2
    slots.update(momentum=m, velocity=v)
    if amsgrad:
        v = slots["velocity_hat"] = np.maximum(slots.get("velocity_hat", 0.0), v)
    return w - learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)


def adamw(w, g, slots, t, weight_decay=0.004, **attributes):
    return adam(w, g, slots, t, weight_decay=weight_decay, **attributes)


OPTIMIZERS = {"SGD": sgd, "Adam": adam, "AdamW": adamw}
CASES = {
    "sgd": ("SGD", {}),
    "sgd_momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd_weight_decay": ("SGD", {"learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.02}),
    "adam": ("Adam", {}),
    "adam_all_set": ("Adam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "adam_amsgrad": ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    "adam_weight_decay": ("Adam", {"learning_rate": 0.01, "weight_decay": 0.05}),
    "adam_global_clipnorm": ("Adam", {"learning_rate": 0.01, "global_clipnorm": 1.0}),
    "adam_global_clipnorm_not_reached": ("Adam", {"learning_rate": 0.01, "global_clipnorm": 100.0}),
    "sgd_global_clipnorm": ("SGD", {"learning_rate": 0.1, "global_clipnorm": 0.5}),
    "sgd_clipnorm": ("SGD", {"learning_rate": 0.1, "clipnorm": 0.5}),
    "sgd_clipvalue": ("SGD", {"learning_rate": 0.1, "clipvalue": 0.25}),
    "adamw": ("AdamW", {}),
    "adamw_all_set": ("AdamW", {"learning_rate": 0.02, "weight_decay": 0.1, "global_clipnorm": 1.0}),
}
CLIPS = ("global_clipnorm", "clipnorm", "clipvalue")


def optimizers():
    with Family("optimizers") as family:
        for name, (kind, attributes) in CASES.items():
            random = Random(f"optimizers/{name}")
            start = {part: random.uniform(*shape) for part, shape in SHAPES.items()}
            # Some steps have large gradients and some small, so that a clip bites and lets pass.
            gradients = {part: np.stack([(s % 2 * 0.9 + 0.1) * random.uniform(*shape) for s in range(STEPS)])
                         .astype(np.float32).astype(np.float64) for part, shape in SHAPES.items()}

            optimizer = getattr(keras_optimizers, kind)(**attributes)
            variables = {part: Variable(value, name=part, dtype="float64") for part, value in start.items()}
            optimizer.build(list(variables.values()))
            after = {part: [] for part in SHAPES}
            for step in range(STEPS):
                optimizer.apply([gradients[part][step] for part in SHAPES], list(variables.values()))
                for part, variable in variables.items():
                    after[part].append(np.array(variable))

            own = {k: v for k, v in attributes.items() if k not in CLIPS}
            clips = {k: v for k, v in attributes.items() if k in CLIPS}
            for index, part in enumerate(SHAPES):
                w, slots = start[part], {}
                for step in range(STEPS):
                    g = clipped([gradients[p][step] for p in SHAPES], **clips)[index]
                    w = OPTIMIZERS[kind](w, g, slots, step + 1, **own)
                    agree(f"{name} {part} step {step}", after[part][step], w)

            slots = {f"slot__{v.path.split('/')[-1]}": np.array(v) for v in optimizer.variables
                     if v.path.split("/")[-1].startswith(("a_", "b_"))}
            family.add(name, {"optimizer": kind, **attributes}, **{f"weight__{p}": v for p, v in start.items()},
                       **{f"gradients__{p}": v.astype(np.float32) for p, v in gradients.items()},
                       **{f"after__{p}": np.stack(v) for p, v in after.items()}, **slots)


def initializer_statistics():
    """Seeded samples differ between libraries, so what is kept is what they have in common."""
    shapes = {"dense": (1000, 900), "conv2d": (3, 3, 300, 350), "narrow": (4, 200000), "bias": (900000,)}
    with Family("initializers") as family:
        for kind in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"):
            for name, shape in shapes.items():
                samples = np.array(getattr(initializers, kind)(seed=7)(shape, dtype="float64"))
                family.add(f"{kind}_{name}", {"initializer": kind, "shape": shape}, variance=[samples.var()],
                           largest=[np.abs(samples).max()])


def lazy_adam():
    """PyTorch's SparseAdam of an embedding's table: rows that a step does not name keep their moments.

    `steps/input` [4 steps, 3, 4] ids, `steps/cotangent` [4 steps, 3, 4, 5] dL/d(embedded), `steps/weight:embeddings` before,
    `steps/after:embeddings` [4 steps, ...], `steps/slot:embeddings_m` and `_v` at the end.
    """
    with Family("lazy_adam") as family:
        random = Random("lazy_adam")
        attributes = {"learning_rate": 0.25, "beta_1": 0.875, "beta_2": 0.96875, "epsilon": 2.0**-20}
        ids, cotangents = random.integers(4, 3, 4, high=7), random.uniform(4, 3, 4, 5)
        start = random.uniform(9, 5)  # two rows are never named
        table = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.SparseAdam([table], lr=0.25, betas=(0.875, 0.96875), eps=2.0**-20)
        after, w, m, v = [], start.copy(), np.zeros_like(start), np.zeros_like(start)
        for step in range(4):
            optimizer.zero_grad()
            embedded = torch.nn.functional.embedding(torch.tensor(ids[step]).long(), table, sparse=True)
            (embedded * torch.tensor(cotangents[step])).sum().backward()
            optimizer.step()
            after.append(table.detach().numpy().copy())
            for row in np.unique(ids[step]):
                slots = {"momentum": m[row], "velocity": v[row]}
                w[row] = adam(w[row], cotangents[step][ids[step] == row].sum(0), slots, step + 1, **attributes)
                m[row], v[row] = slots["momentum"], slots["velocity"]
            agree(f"lazy_adam step {step}", after[-1], w)
        family.add("steps", attributes, input=ids, cotangent=cotangents, weight__embeddings=start, after__embeddings=np.stack(after),
                   slot__embeddings_m=m, slot__embeddings_v=v)


FAMILIES = [optimizers, initializer_statistics, lazy_adam]
