"""The networks of peers.py in plain JAX: parameters, and one training step with Adam, to be jitted or scanned."""

import jax
from jax import numpy as jnp

from peers import DROPOUT, VOCABULARY, WIDTH


def uniform(key, *shape):
    limit = (6 / (shape[-1] + shape[-2])) ** 0.5
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


def dense(p, x):
    return x @ p["w"] + p["b"]


def make_dense(key, inputs, outputs):
    return {"w": uniform(key, inputs, outputs), "b": jnp.zeros(outputs)}


def ffn(p, x, key):
    return dense(p["out"], jax.nn.relu(dense(p["two"], jax.nn.relu(dense(p["one"], x)))))


def make_ffn(key):
    a, b, c = jax.random.split(key, 3)
    return {"one": make_dense(a, 10, 64), "two": make_dense(b, 64, 64), "out": make_dense(c, 64, 1)}


def convolution_pool(p, x):
    x = jax.lax.conv_general_dilated(x, p["w"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + p["b"]
    return jax.lax.reduce_window(jax.nn.relu(x), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn(p, x, key):
    x = convolution_pool(p["two"], convolution_pool(p["one"], x)).reshape(x.shape[0], -1)
    return dense(p["out"], jax.nn.relu(dense(p["hidden"], x)))


def make_cnn(key):
    a, b, c, d = jax.random.split(key, 4)
    return {"one": {"w": uniform(a, 3, 3, 1, 32) / 3, "b": jnp.zeros(32)}, "two": {"w": uniform(b, 3, 3, 32, 64) / 3, "b": jnp.zeros(64)},
            "hidden": make_dense(c, 1600, 64), "out": make_dense(d, 64, 10)}


# The recurrent layers project the inputs of all steps in one product, and scan over what is left.
def gru(p, x):
    projected = jnp.swapaxes(x @ p["kernel"] + p["bias"][0], 0, 1)

    def step(h, x):
        xz, xr, xh = jnp.split(x, 3, -1)
        rz, rr, rh = jnp.split(h @ p["recurrent"] + p["bias"][1], 3, -1)
        z, r = jax.nn.sigmoid(xz + rz), jax.nn.sigmoid(xr + rr)
        h = z * h + (1 - z) * jnp.tanh(xh + r * rh)
        return h, h

    return jnp.swapaxes(jax.lax.scan(step, jnp.zeros((x.shape[0], WIDTH)), projected)[1], 0, 1)


def lstm(p, x):
    projected = jnp.swapaxes(x @ p["kernel"] + p["bias"], 0, 1)

    def step(state, x):
        h, c = state
        i, f, g, o = jnp.split(x + h @ p["recurrent"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[0], WIDTH))
    return jnp.swapaxes(jax.lax.scan(step, (zero, zero), projected)[1], 0, 1)


def rnn(p, x):
    projected = jnp.swapaxes(x @ p["kernel"] + p["bias"], 0, 1)

    def step(h, x):
        h = jnp.tanh(x + h @ p["recurrent"])
        return h, h

    return jnp.swapaxes(jax.lax.scan(step, jnp.zeros((x.shape[0], WIDTH)), projected)[1], 0, 1)


RECURRENT = {"gru": (gru, 3, (2, 3 * WIDTH)), "lstm": (lstm, 4, (4 * WIDTH,)), "rnn": (rnn, 1, (WIDTH,))}


def make_recurrent(kind):
    _, gates, bias = RECURRENT[kind]

    def layer(key):
        a, b = jax.random.split(key)
        return {"kernel": uniform(a, WIDTH, gates * WIDTH), "recurrent": uniform(b, WIDTH, gates * WIDTH), "bias": jnp.zeros(bias)}

    def make(key):
        keys = jax.random.split(key, 5)
        return {"embedding": jax.random.uniform(keys[0], (VOCABULARY, WIDTH), minval=-0.05, maxval=0.05), "one": layer(keys[1]),
                "two": layer(keys[2]), "hidden": make_dense(keys[3], WIDTH, 64), "out": make_dense(keys[4], 64, 1)}

    return make


def recurrent(kind):
    layer = RECURRENT[kind][0]

    def drop(key, x):
        return x * (jax.random.bernoulli(key, 1 - DROPOUT, (x.shape[0], 1, x.shape[2])) / (1 - DROPOUT))

    def forward(p, ids, key):
        a, b = jax.random.split(key)
        x = layer(p["one"], drop(a, p["embedding"][ids]))
        x = layer(p["two"], drop(b, x))[:, -1]
        return dense(p["out"], jax.nn.relu(dense(p["hidden"], x)))

    return forward


def training(network, key):
    """The state to start from, and step(state, x, y) -> (state, (loss, hits))."""
    forward, make = {"ffn": (ffn, make_ffn), "cnn": (cnn, make_cnn)}.get(network) or (recurrent(network), make_recurrent(network))
    parameters = make(key)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.zeros((), jnp.int32))

    def objective(parameters, x, y, key):
        logits = forward(parameters, x, key)
        if network == "cnn":
            picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
            return -picked.mean(), (logits.argmax(-1) == y).sum()
        each = jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))
        return each.mean(), ((logits > 0) == (y > 0.5)).sum()

    def step(state, x, y):
        parameters, m, v, t = state
        t = t + 1
        (loss, hits), g = jax.value_and_grad(objective, has_aux=True)(parameters, x, y, jax.random.fold_in(key, t))
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, m, v)
        return (parameters, m, v, t), (loss, hits)

    return state, step
