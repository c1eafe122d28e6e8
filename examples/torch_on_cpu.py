"""A torch model on the CPU whose parameters fastopt updates: torch computes gradients, both see the same memory."""

import torch

import fastopt as fo

torch.manual_seed(0)
X = torch.rand(512, 2) * 4 - 2
y = (X.pow(2).sum(1) < 2).long()
model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

params = {name: p.detach().numpy() for name, p in model.named_parameters()}  # views, no copies
optimizer = fo.Optimizer(params, fo.AdamW(lr=0.01))
for step in range(200):
    loss = torch.nn.functional.cross_entropy(model(X), y)
    model.zero_grad()
    loss.backward()
    optimizer.step({name: p.grad.numpy() for name, p in model.named_parameters()})
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.4f}")
accuracy = (model(X).argmax(1) == y).float().mean().item()
print(f"accuracy {accuracy:.3f}")
assert accuracy > 0.95
