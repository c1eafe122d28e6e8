"""A step on a torch model's tensors, ours beside torch's AdamW: python bench/torch_steps.py (half a minute)."""

import time

import torch

import fastopt as fo


def model(width, layers):
    torch.manual_seed(0)
    made = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(layers)))
    for p in made.parameters():
        p.grad = torch.randn_like(p)
    return made


for width, layers in ((32, 2), (32, 50), (512, 4), (2048, 2)):
    ways = {
        "fastopt": fo.Optimizer(model(width, layers).named_parameters(), fo.AdamW()),
        "torch": torch.optim.AdamW(model(width, layers).parameters()),
        "torch fused": torch.optim.AdamW(model(width, layers).parameters(), fused=True),
    }
    times: dict = {name: [] for name in ways}
    for _ in range(60):
        for name, opt in ways.items():
            begin = time.perf_counter()
            opt.step()
            times[name].append(time.perf_counter() - begin)
    shown = ", ".join(f"{name} {min(t) * 1e6:.0f} us" for name, t in times.items())
    print(f"{layers} layers of {width} x {width}: {shown}")
