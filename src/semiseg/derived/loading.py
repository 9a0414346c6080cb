"""``data.cache`` and ``data.workers``: whether decoded images fit into memory, and who decodes them."""

from __future__ import annotations

from semiseg.data.base import Resize, resized
from semiseg.derived.choice import Choice
from semiseg.derived.facts import Facts

SHARE = 0.25  # of main memory, for decoded images
MOST = 4 * 2**30  # bytes of decoded images, however large the memory
CPU_WORKERS, GPU_WORKERS = 2, 4


def cache(facts: Facts, resize_to: Resize | None, copies: int) -> Choice:
    """Whether to keep decoded images, of which each loader process has its own copy."""
    height, width = resized((facts.small_side, facts.large_side), resize_to)
    pixels = height * width
    if resize_to is None and facts.mean_pixels is not None:  # a few large images among small ones count
        pixels = facts.mean_pixels
    images = facts.labelled + facts.unlabelled
    nbytes = 4 * pixels * images * copies * facts.processes  # three colours and a mask
    size = f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 else f"{max(1, round(nbytes / 2**20))} MiB"
    kept = f"{images} decoded images" + (f" in {copies * facts.processes} processes" if copies > 1 else "")
    if nbytes <= min(MOST, SHARE * (facts.memory or MOST)):
        return Choice(True, f"{kept} take {size}")
    return Choice(False, f"{kept} would take {size}")


def workers(facts: Facts, cached: bool) -> Choice:
    """Loader processes; none where a CPU has its images in memory, since cutting crops takes no time beside a step."""
    if facts.device != "cuda":
        if cached:
            return Choice(0, "decoded images are in memory: no process need wait for another")
        return Choice(min(CPU_WORKERS, facts.threads), "images are decoded while the network computes")
    count = max(1, min(GPU_WORKERS, facts.threads // facts.processes - 1))
    threads = "1 processor thread" if facts.threads == 1 else f"{facts.threads} processor threads"
    return Choice(count, f"crops are cut while the GPU computes; {threads}")
