"""Independent oracles, written from the paper's formulas and on purpose naive: loops, no factorisation.

Each names its equation. Nothing here is imported from the package, so an agreement is evidence.
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

Row = tuple[int, float, int]
"""One feature offered to the memory bank: label, score, image id."""


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax of one pixel's logits (C,)."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    ignore_index: int = 255,
    divisor: str = "pixels",
) -> tuple[float, np.ndarray]:
    """Eq. 3, pixel by pixel; the gradient by hand: alpha * beta * (softmax - one-hot) / divisor."""
    scores, truth = logits.detach().double().numpy(), labels.numpy()
    batch, classes, height, width = scores.shape
    alpha = np.ones(classes) if class_weights is None else class_weights.double().numpy()
    beta = np.ones(truth.shape) if pixel_weights is None else pixel_weights.double().numpy()
    total, alphas, gradient = 0.0, 0.0, np.zeros_like(scores)
    for b, y, x in np.ndindex(batch, height, width):
        label = int(truth[b, y, x])
        if label == ignore_index:
            continue
        probabilities = _softmax(scores[b, :, y, x])
        weight = alpha[label] * beta[b, y, x]
        total -= weight * math.log(probabilities[label])
        alphas += alpha[label]
        gradient[b, :, y, x] = weight * (probabilities - np.eye(classes)[label])
    divide_by = {"pixels": batch * height * width, "weights": alphas}[divisor]
    return total / divide_by, gradient / divide_by


def entropy(logits: Tensor, valid: Tensor | None = None, base: str = "natural") -> tuple[float, np.ndarray]:
    """Eq. 7, pixel by pixel; the gradient by hand: -p (log p + H) / N."""
    scores = logits.detach().double().numpy()
    batch, classes, height, width = scores.shape
    total, count, gradient = 0.0, 0, np.zeros_like(scores)
    for b, y, x in np.ndindex(batch, height, width):
        if valid is not None and not valid[b, y, x]:
            continue
        probabilities = _softmax(scores[b, :, y, x])
        pixel = -sum(p * math.log(p) for p in probabilities)
        total, count = total + pixel, count + 1
        gradient[b, :, y, x] = -probabilities * (np.log(probabilities) + pixel)
    divide_by = count * {"natural": 1.0, "classes": math.log(classes)}[base]
    return total / divide_by, gradient / divide_by


def contrastive(
    p: Tensor,
    p_labels: Tensor,
    p_scores: Tensor,
    z: Tensor,
    z_labels: Tensor,
    z_scores: Tensor,
    num_classes: int,
) -> Tensor:
    """Eqs. 8-11 as printed: every pair (p, z) of every class. Differentiable, for gradients by autograd."""
    loss = torch.zeros((), dtype=torch.float64)
    for c in range(num_classes):
        rows = [i for i, label in enumerate(p_labels.tolist()) if label == c]
        columns = [j for j, label in enumerate(z_labels.tolist()) if label == c]
        if not rows or not columns:
            continue
        w_p = {i: len(rows) * p_scores[i] / sum(p_scores[k] for k in rows) for i in rows}  # eq. 8
        w_z = {j: len(columns) * z_scores[j] / sum(z_scores[k] for k in columns) for j in columns}  # eq. 8
        for i in rows:
            for j in columns:
                cosine = (p[i] * z[j]).sum() / ((p[i] ** 2).sum().sqrt() * (z[j] ** 2).sum().sqrt())  # eq. 9
                distance = w_p[i] * w_z[j] * (1 - cosine)  # eq. 10
                loss = loss + distance / (num_classes * len(rows) * len(columns))  # eq. 11
    return loss


def momentum(iteration: int, total: int, start: float = 0.995, end: float = 1.0) -> float:
    """The decay rate of eq. 2: from start to end along half a cosine."""
    return end - (end - start) * (math.cos(math.pi * iteration / total) + 1) / 2


def class_weights(frequencies: Sequence[float]) -> list[float]:
    """Section 4.2, sqrt(f_m / f_c); a class never seen weighs 1 and stays out of the median."""
    seen = [f for f in frequencies if f > 0]
    return [math.sqrt(statistics.median(seen) / f) if f > 0 else 1.0 for f in frequencies]


class Bank:
    """Section 3.4, 'Memory Bank': one first-in-first-out queue per class, fed the top K of each image."""

    def __init__(self, num_classes: int, size: int) -> None:
        self.queues: dict[int, deque[int]] = {c: deque(maxlen=size) for c in range(num_classes)}

    def push(self, names: Sequence[int], rows: Sequence[Row], per_image: int, keep: str = "highest") -> None:
        """Offer the features called `names`; `rows` says the label, score and image of each."""
        sign = {"highest": -1, "lowest": 1}[keep]
        for c, queue in self.queues.items():
            for image in sorted({image for _, _, image in rows}):
                offered = [k for k, (label, _, of) in enumerate(rows) if label == c and of == image]
                offered.sort(key=lambda k: (sign * rows[k][1], k))
                queue.extend(names[k] for k in offered[:per_image])

    def stored(self) -> list[tuple[int, int]]:
        """(label, name) of what is stored, by class and within a class oldest first."""
        return [(c, name) for c, queue in self.queues.items() for name in queue]


def class_attention(attention: nn.Module, c: int) -> nn.Sequential:
    """Section 4.2, the attention S_c of one class as ordinary modules that hold copies of its parameters."""
    state = {name: value.detach().clone() for name, value in attention.state_dict().items()}
    hidden, dim = state["weight1"][c].shape
    first, norm, second = nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 1)
    module = nn.Sequential(first, norm, nn.LeakyReLU(0.01), second, nn.Sigmoid()).to(state["weight1"].dtype)
    with torch.no_grad():
        first.weight.copy_(state["weight1"][c])
        first.bias.copy_(state["bias1"][c])
        norm.weight.copy_(state["norm_weight"][c])
        norm.bias.copy_(state["norm_bias"][c])
        second.weight.copy_(state["weight2"][c].unsqueeze(0))
        second.bias.copy_(state["bias2"][c].unsqueeze(0))
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(state["running_mean"][c])
    norm.running_var.copy_(state["running_var"][c])
    return module


def head(module: nn.Module) -> nn.Sequential:
    """Section 4.2, a head as Linear, BatchNorm1d, ReLU, Linear that hold copies of `module`'s state.

    The head's own modules are found by what they are: two linear layers and a holder of running statistics.
    """
    first, second = [m for m in module.modules() if isinstance(m, nn.Linear)]
    (source,) = [m for m in module.modules() if "running_mean" in dict(m.named_buffers(recurse=False))]
    norm = nn.BatchNorm1d(first.out_features)
    linears = []
    for layer in (first, second):
        copied = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        copied.load_state_dict(layer.state_dict())
        linears.append(copied)
    norm.load_state_dict({name: value.clone() for name, value in source.state_dict().items()}, strict=False)
    return nn.Sequential(linears[0], norm, nn.ReLU(), linears[1]).to(first.weight.dtype)


def quality_quantile(probabilities: Tensor, labels: Tensor, share: float) -> list[list[list[bool]]]:
    """Which pixels are among the best share of their class: of the right ones, or of all where none is right."""
    classes = probabilities.shape[1]
    passes = torch.zeros_like(labels, dtype=torch.bool)
    for c in range(classes):
        pixels = [k for k in np.ndindex(*labels.shape) if int(labels[k]) == c]
        scores = {k: float(probabilities[k[0], c, k[1], k[2]]) for k in pixels}
        right = [k for k in pixels if int(probabilities[k[0], :, k[1], k[2]].argmax()) == c]
        competing = sorted(right or pixels, key=lambda k: -scores[k])
        if not competing:
            continue
        last = scores[competing[math.ceil(Fraction(str(share)) * len(competing)) - 1]]
        for k in competing:
            passes[k] = scores[k] >= last
    return passes.tolist()


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """-log of the share that the positive (D,) has among itself and the negatives (K, D) for one query (D,)."""

    def power(key: Tensor) -> Tensor:
        return ((query * key).sum() / ((query**2).sum().sqrt() * (key**2).sum().sqrt()) / temperature).exp()

    return -(power(positive) / (power(positive) + sum(power(key) for key in negatives))).log()


def against_bank(
    p: Tensor, p_labels: Tensor, p_scores: Tensor, z: Tensor, z_labels: Tensor, num_classes: int, temperature: float
) -> Tensor:
    """The supervised InfoNCE of each p with all z, weighted by eq. 8, mean over p of a class, then over the classes."""

    def power(one: Tensor, other: Tensor) -> Tensor:
        return ((one * other).sum() / ((one**2).sum().sqrt() * (other**2).sum().sqrt()) / temperature).exp()

    loss = torch.zeros((), dtype=torch.float64)
    stored = [j for j, label in enumerate(z_labels.tolist()) if 0 <= label < num_classes]
    for c in range(num_classes):
        rows = [i for i, label in enumerate(p_labels.tolist()) if label == c]
        own = [j for j in stored if z_labels[j] == c]
        if not rows or not own:
            continue
        for i in rows:
            weight = len(rows) * p_scores[i] / sum(p_scores[k] for k in rows)  # eq. 8
            share = sum(power(p[i], z[j]) for j in own) / sum(power(p[i], z[j]) for j in stored)
            loss = loss - weight * share.log() / (len(rows) * num_classes)
    return loss
