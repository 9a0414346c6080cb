"""Which of the images: the highest ranks, such that rank high and differ, or such that stand for most of the others.

The choice of images that differ follows Zhdanov (Diverse mini-batch active learning, arXiv:1901.05954): of the highest
ranks ten times as many as are wanted, grouped by k-means that counts each by its score, and of every group the image
nearest to its centre. Here it is at most the better half of all, and an image that shows the scene of a labelled or of
a chosen one is passed over.

The one by coverage follows Hacohen, Dekel and Weinshall (Active learning on a budget, ICML 2022): all images, labelled
ones among them, in as many groups as there will be masks, and of each of the largest groups without a mask a typical
image. Here that is the one nearest to the centre.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from semiseg.errors import UsageError

POOL = 10
"""Images of the highest ranks that are grouped, for one that is wanted."""
SAME_SCENE = 0.5
"""Two images show one scene where they are nearer to one another than this part of the reach."""
_ROUNDS = 50  # of k-means, which settles in a few


def ranks(values: np.ndarray) -> np.ndarray:
    """(n,) → (n,), 1 for the smallest; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: np.ndarray = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return mean


def mean_ranks(columns: Sequence[Sequence[float]]) -> np.ndarray:
    """Mean over the columns (n,) each of the ranks as fractions in (0, 1], (n,)."""
    each = np.stack([ranks(np.asarray(column, np.float64)) for column in columns])
    mean: np.ndarray = each.mean(axis=0) / each.shape[1]
    return mean


def scenes_by_name(names: Sequence[str], pattern: str) -> list[str]:
    """The scene of every image: the first group of ``pattern`` in its name, or all that it matches; else the name.

    Raises:
        UsageError: no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--scenes {pattern!r} is no regular expression ({error}); give one that matches the scene in a name, "
            r"e.g. '^(.+)_\d+$'"
        ) from None
    found = [compiled.search(name) for name in names]
    return [n if m is None else m[1 if compiled.groups else 0] or n for n, m in zip(names, found, strict=True)]


def reach(embeddings: np.ndarray, wanted: int) -> float:
    """How far an image stands for others when ``wanted`` of N (N, D) are labelled: median distance to the N/wanted-th
    nearest. Frames of one film lie far within it, independent images hardly ever."""
    if len(embeddings) < 2:
        return 0.0
    nearest = min(max(1, round(len(embeddings) / wanted)), len(embeddings) - 1)
    return float(np.median(np.partition(_distances(embeddings, embeddings), nearest, axis=1)[:, nearest]))


def choose(
    scores: np.ndarray,
    embeddings: np.ndarray,
    count: int,
    labelled: np.ndarray,
    scenes: Sequence[str] | None = None,
) -> list[int]:
    """Up to ``count`` images that rank high and differ, the highest score first.

    Args:
        scores: (n,), in (0, 1].
        embeddings: (n, D), of length 1.
        count: how many.
        labelled: (L, D), those of the images that have masks.
        scenes: of every image, at most one of each is chosen, perhaps fewer than ``count``; None: images that lie near
            a labelled or a chosen one are passed over as long as there are others.
    """
    count = min(count, len(scores))
    ranked = np.argsort(-scores, kind="stable")
    pool = ranked[: max(count, min(POOL * count, len(scores) // 2))]
    near = SAME_SCENE * reach(np.concatenate([embeddings, labelled]), count + len(labelled))
    taken = _Taken(embeddings, labelled, near, scenes)
    for group in _groups(embeddings[pool], scores[pool], count)[0]:
        taken.first_of(pool[group].tolist())
    taken.fill(ranked.tolist(), count)  # groups of one scene leave places: the next ranks take them
    return sorted(taken.images, key=lambda i: (-scores[i], i))


def cover(
    embeddings: np.ndarray, count: int, labelled: np.ndarray, scenes: Sequence[str] | None = None
) -> tuple[list[int], np.ndarray]:
    """Up to ``count`` images, each typical of a group without a mask, that of the largest group first.

    Args:
        embeddings, count, labelled, scenes: as for :func:`choose`; without ``scenes`` groups alone keep scenes apart.

    Returns:
        The images, and for every image (n,) the part of all images that its group holds, in (0, 1].
    """
    count, every = min(count, len(embeddings)), np.concatenate([embeddings, labelled])
    groups, number = _groups(every, np.ones(len(every)), min(count + len(labelled), len(every)))
    sizes = np.bincount(number, minlength=len(groups))
    masks = np.bincount(number[len(embeddings) :], minlength=len(groups))
    taken = _Taken(embeddings, labelled, 0.0, scenes)
    for k in sorted(range(len(groups)), key=lambda k: (masks[k], -sizes[k])):
        if len(taken.images) < count:
            taken.first_of([i for i in groups[k].tolist() if i < len(embeddings)])
    shares: np.ndarray = sizes[number[: len(embeddings)]] / len(every)
    taken.fill(np.argsort(-shares, kind="stable").tolist(), count)
    return taken.images, shares


class _Taken:
    """The images chosen so far, and which others still may be: none of a scene that is there."""

    def __init__(self, embeddings: np.ndarray, labelled: np.ndarray, near: float, scenes: Sequence[str] | None) -> None:
        self.embeddings, self.labelled, self.near, self.scenes = embeddings, labelled, near, scenes
        self.images: list[int] = []

    def first_of(self, candidates: Sequence[int]) -> None:
        """Take the first that may be taken, if there is one."""
        self.images += next(([i] for i in candidates if self._free(i)), [])

    def fill(self, candidates: Sequence[int], count: int) -> None:
        """Take others until there are ``count``; without named scenes at last those that lie near one, too."""
        for strict in (True, False) if self.scenes is None else (True,):
            for i in candidates:
                if len(self.images) < count and i not in self.images and (not strict or self._free(i)):
                    self.images.append(i)

    def _free(self, i: int) -> bool:
        if i in self.images:
            return False
        if self.scenes is not None:
            return all(self.scenes[i] != self.scenes[j] for j in self.images)
        others = np.concatenate([self.labelled, self.embeddings[self.images]])
        return not len(others) or bool(_distances(self.embeddings[[i]], others).min() >= self.near)


def _groups(points: np.ndarray, weights: np.ndarray, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """k-means: the indices of every group, those nearest to its centre first, and the group of every point. The first
    centre is the first point, and every further one the point farthest from those before it."""
    centres = points[:1]
    while len(centres) < count:
        centres = np.concatenate([centres, points[[_distances(points, centres).min(axis=1).argmax()]]])
    groups = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        distances = _distances(points, centres)
        if (distances.argmin(axis=1) == groups).all():
            break
        groups = distances.argmin(axis=1)
        for k in np.unique(groups):
            inside = groups == k
            centres[k] = np.average(points[inside], axis=0, weights=weights[inside])
    distances = _distances(points, centres)
    found = [np.flatnonzero(groups == k) for k in range(count)]
    return [group[np.argsort(distances[group, k], kind="stable")] for k, group in enumerate(found)], groups


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean, (n, D) and (m, D) → (n, m)."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    found: np.ndarray = np.sqrt(squares.clip(min=0))
    return found
