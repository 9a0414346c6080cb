"""Operations on colours: against Pillow's, what they ask of padding, and how they are drawn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from semiseg.augment import random_intensity as module
from semiseg.augment.colour import gaussian_blur, jitter
from semiseg.augment.random_intensity import OPERATIONS, random_intensity

HEIGHT, WIDTH = 64, 96


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int = 3, times: int = 1) -> Tensor:
    """Of 256 levels, smooth and of a narrow range."""
    coarse = torch.rand(batch, 3, 5, 7, generator=seeded())
    images = torch.nn.functional.interpolate(coarse, (times * HEIGHT, times * WIDTH), mode="bilinear")
    return (255 * (0.1 + 0.6 * images)).round() / 255


def inside(batch: int = 3) -> Tensor:
    shown = torch.ones(batch, HEIGHT, WIDTH, dtype=torch.bool)
    shown[1:, 40:] = False
    shown[2, :, :30] = False
    return shown


def enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, strength: kind(image).enhance(0.05 + 0.9 * strength)


PILLOW: dict[str, tuple[Callable[[Image.Image, float], Image.Image], int]] = {  # and levels that rounding may cost
    "identity": (lambda image, strength: image, 0),
    "autocontrast": (lambda image, strength: ImageOps.autocontrast(image), 1),
    "equalise": (lambda image, strength: ImageOps.equalize(image), 2),  # its steps are whole numbers of pixels
    "contrast": (enhanced(ImageEnhance.Contrast), 2),
    "brightness": (enhanced(ImageEnhance.Brightness), 1),
    "colour": (enhanced(ImageEnhance.Color), 2),
    "posterise": (lambda image, strength: ImageOps.posterize(image, int(4 + 4 * strength)), 0),
    "solarise": (lambda image, strength: ImageOps.solarize(image, int(1 + 256 * strength)), 0),
    "sharpness": (enhanced(ImageEnhance.Sharpness), 2),
}


@pytest.mark.parametrize("name", PILLOW)
def test_operations_are_pillows(name: str) -> None:
    theirs, levels = PILLOW[name]
    images, strength = pictures(times=6), torch.tensor([0.0, 0.3, 0.99])
    ours = OPERATIONS[name](images, torch.ones_like(images[:, 0], dtype=torch.bool), strength)
    for image, found, s in zip(images, ours, strength.tolist(), strict=True):
        given = Image.fromarray((255 * image.permute(1, 2, 0)).round().to(torch.uint8).numpy())
        expected = np.asarray(theirs(given, s)).astype(float)
        difference = np.abs(255 * found.permute(1, 2, 0).double().numpy() - expected)
        if name == "sharpness":  # it leaves the outermost pixels
            difference = difference[1:-1, 1:-1]
        assert difference.max() <= levels + 1e-3
    assert name == "identity" or not torch.equal(ours, images)


def test_blur_and_hue_have_their_ranges() -> None:
    images, shown = pictures(), inside()
    ends, same = torch.tensor([0.0, 0.5, 0.999]), torch.ones(3)
    found = OPERATIONS["blur"](images, shown, ends)
    torch.testing.assert_close(found, gaussian_blur(images, torch.tensor([0.1, 1.05, 1.9981])))
    turned = OPERATIONS["hue"](images, shown, ends)
    torch.testing.assert_close(turned, jitter(images, same, same, same, torch.tensor([-0.5, 0.0, 0.499])))


@pytest.mark.parametrize("name", OPERATIONS)
def test_padding_changes_nothing_of_an_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPERATIONS", {name: OPERATIONS[name]})
    shown, images = inside(), pictures()
    noise = torch.rand(images.shape, generator=seeded(1))
    results = [
        random_intensity(torch.where(shown[:, None], images, padding), shown, seeded(3))
        for padding in (torch.zeros_like(noise), noise)
    ]
    assert torch.equal(*results)
    assert all(r.min() >= 0 and r.max() <= 1 for r in results)


def test_what_is_asked_of_an_image_is_asked_of_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation on an image with padding is that on the image alone, cut out."""
    images, shown = pictures(1), torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    shown[:, 8:40, 16:] = True
    for name in ("autocontrast", "equalise", "contrast"):
        monkeypatch.setattr(module, "OPERATIONS", {name: OPERATIONS[name]})
        whole = random_intensity(images, shown, seeded(3), most=1)[:, :, 8:40, 16:]
        alone = random_intensity(images[:, :, 8:40, 16:], shown[:, 8:40, 16:], seeded(3), most=1)
        torch.testing.assert_close(whole, alone, msg=name)


def test_one_to_three_operations_of_all_kinds_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stands in for the number 1/2^k of its place, so that sums tell which were drawn, and how often."""
    batch, seen = 3000, []
    counting = {}
    for name in OPERATIONS:

        def note(images: Tensor, shown: Tensor, strength: Tensor, name: str = name) -> Tensor:
            seen.append((name, len(images), strength))
            return images + 0.1

        counting[name] = note
    monkeypatch.setattr(module, "OPERATIONS", counting)
    shown = torch.ones(batch, 1, 2, dtype=torch.bool)
    images = random_intensity(torch.zeros(batch, 3, 1, 2), shown, seeded())
    times = (images[:, 0, 0, 0] * 10).round().long().bincount(minlength=4)
    assert times[0] == 0 and (times[1:4] / batch).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    by_name = {name: sum(n for other, n, _ in seen if other == name) for name in OPERATIONS}
    assert min(by_name.values()) > 0.8 * max(by_name.values())
    strengths = torch.cat([strength for _, _, strength in seen])
    assert strengths.mean() == pytest.approx(0.5, abs=0.02) and strengths.max() < 1
    monkeypatch.setattr(module, "OPERATIONS", {"one": counting["identity"]})
    once = random_intensity(torch.zeros(9, 3, 1, 2), shown[:9], seeded(), most=1)
    torch.testing.assert_close(once, torch.full_like(once, 0.1))


def test_images_are_left_alone_and_one_of_one_value_stays_finite() -> None:
    images = pictures()
    before = images.clone()
    assert torch.equal(random_intensity(images, inside(), seeded(5)), random_intensity(images, inside(), seeded(5)))
    assert torch.equal(images, before)
    flat = torch.full((200, 3, 2, 3), 0.4)
    assert torch.isfinite(random_intensity(flat, torch.ones(200, 2, 3, dtype=torch.bool), seeded())).all()
    nothing = torch.zeros(200, 2, 3, dtype=torch.bool)
    assert torch.isfinite(random_intensity(flat, nothing, seeded())).all()
    for name in ("autocontrast", "equalise"):
        same = OPERATIONS[name](flat, torch.ones(200, 2, 3, dtype=torch.bool), torch.zeros(200))
        assert torch.equal(same, flat)
