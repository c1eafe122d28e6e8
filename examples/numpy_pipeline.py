"""A NumPy pipeline with a gradient of its own: a small network learns XOR, Adam updates its arrays in place."""

import numpy as np

import fastopt as fo

rng = np.random.default_rng(0)
X = rng.integers(0, 2, (256, 2)).astype(np.float32)
y = (X[:, 0] != X[:, 1]).astype(np.float32)

params = {
    "W1": rng.normal(0, 1, (2, 16)).astype(np.float32),
    "b1": np.zeros(16, np.float32),
    "W2": rng.normal(0, 0.5, 16).astype(np.float32),
    "b2": np.zeros(1, np.float32),
}


def forward_and_backward(p):
    """Mean squared error and its gradients, by hand."""
    hidden = np.tanh(X @ p["W1"] + p["b1"])
    error = hidden @ p["W2"] + p["b2"] - y
    d_error = 2 * error / len(y)
    d_hidden = np.outer(d_error, p["W2"]) * (1 - hidden**2)
    grads = {
        "W1": X.T @ d_hidden,
        "b1": d_hidden.sum(0),
        "W2": hidden.T @ d_error,
        "b2": d_error.sum(keepdims=True),
    }
    return float(np.mean(error**2)), grads


optimizer = fo.Optimizer(params, fo.Adam(lr=0.02), schedules={"lr": fo.schedules.Cosine(steps=400)}, clip=1.0)
for step in range(400):
    loss, grads = forward_and_backward(params)
    optimizer.step(grads)  # params change in place
    if step % 100 == 0:
        print(f"step {step}: loss {loss:.4f}")
loss, _ = forward_and_backward(params)
print(f"loss after {optimizer.t} steps: {loss:.6f}")
assert loss < 0.01
