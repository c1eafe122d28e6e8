"""Training for real with small state: softmax and a two-layer torch model on MNIST, AdamW, every form over some seeds.

    python bench/small_state_training.py --data FOLDER [--epochs 3] [--seeds 3]

FOLDER has mnist.npz. Gradients are torch's autograd (float32 forward, of the weights as they are kept), steps are fastopt's, batches
of 128, the same order and the same start for all forms of one seed. Wanted: test accuracy within 0.2 % of float32 state on
softmax, within the spread of float32's seeds on the two-layer model.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import fastopt as fo

FORMS = {  # name: bfloat16 weights, state_dtype
    "float32": (False, None),
    "float32, state bfloat16": (False, "bfloat16"),
    "float32, state float8": (False, "float8"),
    "bfloat16 split, state bfloat16": (True, "bfloat16"),
    "bfloat16 split, state float8": (True, "float8"),
    "bfloat16 alone, state bfloat16": (True, "bfloat16-no-master"),
    "bfloat16 alone, state float8": (True, "float8-no-master"),
}
MODELS = {
    "softmax": lambda: torch.nn.Sequential(torch.nn.Linear(784, 10)),
    "two layers": lambda: torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    ),
}


def data(folder):
    with np.load(Path(folder) / "mnist.npz") as file:
        images = [torch.from_numpy(file[f"x_{part}"].astype(np.float32) / 255) for part in ("train", "test")]
        labels = [torch.from_numpy(file[f"y_{part}"].astype(np.int64)) for part in ("train", "test")]
    return images, labels


def trained(make, form, seed, images, labels, epochs, batch=128):
    """(accuracy on the test images, mean training loss of the last epoch)."""
    half, state = form
    torch.manual_seed(seed)
    model = make()
    if half:
        model = model.to(torch.bfloat16)
    kind = torch.bfloat16 if half else torch.float32
    images = [x.to(kind) for x in images]
    opt = fo.Optimizer(dict(model.named_parameters()), fo.AdamW(lr=1e-3), state_dtype=state)
    order, total = np.random.default_rng(seed), 0.0
    for _ in range(epochs):
        total, rows = 0.0, torch.from_numpy(order.permutation(len(images[0])))
        for part in rows.split(batch):
            opt.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images[0][part]).float(), labels[0][part])
            loss.backward()
            opt.step()
            total += loss.item() * len(part)
    with torch.no_grad():
        right = (model(images[1]).argmax(1) == labels[1]).float().mean().item()
    return right, total / len(images[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = data(given.data)
    print(
        f"MNIST, {given.epochs} epochs, {given.seeds} seeds: test accuracy in % (mean, lowest to highest), last epoch's loss"
    )
    for name, make in MODELS.items():
        base = None
        for form, settings in FORMS.items():
            runs = [
                trained(make, settings, seed, images, labels, given.epochs) for seed in range(given.seeds)
            ]
            right, loss = np.array(runs).T
            right = 100 * right
            base = right.mean() if base is None else base
            print(f"{name:11s} {form:32s} {right.mean():6.2f} ({right.min():.2f} to {right.max():.2f})"
                  f" {right.mean() - base:+5.2f}   loss {loss.mean():.4f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
