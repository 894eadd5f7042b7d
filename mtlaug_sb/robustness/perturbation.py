"""The worst change within a budget, by the Adversarial Robustness Toolbox (Nicolae et al. 2018), behind a small adapter."""

import functools

import torch
from torch import nn

METHODS = ("fgsm", "pgd")


class LogOdds(nn.Module):
    """The logarithm of the odds against the true class, the mean over the batch.

    It grows with the cross entropy, so that a row's steepest ascent is the same; but the cross entropy of a model that is
    sure has no gradient left in floating point, which would be taken for robustness (Athalye et al. 2018).
    """

    def forward(self, logits, truths):
        """Logits [batch, classes], truths int64 [batch] or one-hot [batch, classes] -> scalar."""
        truths = truths.argmax(1) if truths.ndim > 1 else truths
        true = nn.functional.one_hot(truths, logits.shape[1]).bool()
        return (logits.masked_fill(true, -torch.inf).logsumexp(1) - logits[true]).mean()


def worst_changes(model, x, truths, mask, budgets, method, steps=10, device="cpu"):
    """For each budget, the change of ``x`` within it that makes a model err most, of all changes found so far.

    A change that fits a small budget fits any larger one, so a larger budget never helps the model.

    Arguments
    ---------
    model : nn.Module
        x [batch, ...] -> logits [batch, classes].
    x : torch.Tensor
        [batch, ...].
    truths : torch.Tensor
        Classes, int64 [batch].
    mask : torch.Tensor
        Where x may change, bool, like x.
    budgets : list of float
        Greatest change of a single value, from small to large.
    method : str
        One of ``METHODS``.
    steps : int
        Of "pgd".
    device : str
        Of the model.

    Returns
    -------
    list of torch.Tensor
        Like x, one per budget.

    Raises
    ------
    RuntimeError
        If the toolbox leaves the budget, or the mask.
    """
    best, changes = torch.zeros_like(x), []
    worst, n_classes = _margin(model, x, truths, device)
    one_hot = nn.functional.one_hot(truths, n_classes).float().numpy()
    kind = "cpu" if device == "cpu" else "gpu"
    classifier = load_toolbox()["classifier"](model, LogOdds(), tuple(x.shape[1:]), n_classes, device_type=kind)
    given = {"x": x.numpy(), "y": one_hot, "mask": mask.float().numpy()}
    # the direction of one step does not depend on how long it is
    direction = _change(classifier, "fgsm", 1.0, 1, given, mask).round() if method == "fgsm" else None
    for budget in budgets:
        if budget > 0:
            change = budget * direction if method == "fgsm" else _change(classifier, method, budget, steps, given, mask)
            if change.abs().max() > 1.01 * budget + 1e-5 * x.abs().max():  # the sum with x is rounded
                raise RuntimeError(f"the toolbox changed a value by {change.abs().max():g}, its budget is {budget:g}")
            change = change.clamp(-budget, budget)
            margin, _ = _margin(model, x + change, truths, device)
            worse = margin > worst
            worst = torch.where(worse, margin, worst)
            best = torch.where(worse.view(-1, *[1] * (x.ndim - 1)), change, best)
        changes.append(best)
    return changes


def _change(classifier, method, budget, steps, given, mask):
    """The toolbox's change of x within a budget, zero where x must not change."""
    settings = {"norm": float("inf"), "eps": budget, "batch_size": len(given["x"])}
    if method == "pgd":
        # all steps together reach beyond the budget's edge
        step = min(budget, 2.5 * budget / steps)
        settings |= {"eps_step": step, "max_iter": steps, "num_random_init": 0, "verbose": False}
    attack = load_toolbox()[method](classifier, **settings)
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN's LSTM has no gradient in evaluation
        attacked = torch.from_numpy(attack.generate(**given))
    change = attacked - torch.from_numpy(given["x"])
    if change[~mask].any():
        raise RuntimeError(f"the toolbox changed padding by {change[~mask].abs().max():g}")
    return change


def _margin(model, x, truths, device):
    """By how much the best wrong class is ahead of the true one, [batch]; and the number of classes."""
    with torch.no_grad():
        logits = model(x.to(device)).cpu()
    true = nn.functional.one_hot(truths, logits.shape[1]).bool()
    return logits.masked_fill(true, -torch.inf).amax(1) - logits[true], logits.shape[1]


@functools.cache
def load_toolbox():
    """{name: class} of what is used of the library; a ModuleNotFoundError that says how to get it."""
    try:
        from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
        from art.estimators.classification import PyTorchClassifier
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the Adversarial Robustness Toolbox is not installed: pip install -e '.[attacks]'"
        ) from None
    return {"fgsm": FastGradientMethod, "pgd": ProjectedGradientDescent, "classifier": PyTorchClassifier}
