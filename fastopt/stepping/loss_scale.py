"""The factor by which a loss is multiplied so that gradients in float16 do not vanish."""

from fastopt.arrays import checked_number


class LossScale:
    """A factor for the loss: gradients are divided by it on their way into the step.

    Where a gradient is inf or NaN the step is left out and the factor multiplied by backoff_factor; after
    growth_interval steps that were taken, one after the other, by growth_factor. growth_interval=None: it never grows.
    Numbers and names of torch.amp.GradScaler. Source: Micikevicius et al. 2018, 3.2.
    """

    def __init__(self, scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000):
        self.scale = checked_number(scale, "scale", "a number above 0")
        self.growth_factor = checked_number(growth_factor, "growth_factor")
        self.backoff_factor = checked_number(backoff_factor, "backoff_factor")
        self.growth_interval, self.taken = growth_interval, 0
        if (
            not 0 < self.scale < float("inf")
            or not self.growth_factor >= 1
            or not 0 < self.backoff_factor <= 1
        ):
            raise ValueError(
                f"{self!r}: scale > 0, growth_factor >= 1 and 0 < backoff_factor <= 1 are needed"
            )

    def __repr__(self):
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval")
        return f"LossScale({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def report(self, finite):
        """Take the outcome of a step: whether its gradients were finite."""
        if not finite:
            self.scale, self.taken = max(self.scale * self.backoff_factor, 2.0**-100), 0
            return
        self.taken += 1
        if self.growth_interval is not None and self.taken >= self.growth_interval:
            self.scale, self.taken = min(self.scale * self.growth_factor, 2.0**100), 0

    def state_dict(self):
        return dict(vars(self))

    @classmethod
    def of(cls, state):
        """What a state_dict was taken from."""
        made = cls()
        vars(made).update(state)
        return made
