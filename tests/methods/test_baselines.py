"""Mean Teacher, CutMix and ClassMix by hand, from what went through student and teacher."""

from pathlib import Path

import oracles
import pytest
import torch
from by_hand import student_and_teacher
from conftest import as_needed, tiny
from torch import Tensor

from semiseg.methods import Batch, Method, Step, method_class, method_names
from semiseg.methods.base.views import NOTHING
from semiseg.networks.build import build_network_of

SIZE = 32
BASELINES = ("mean_teacher", "cutmix", "classmix")


def build(name: str, **changes: object) -> Method:
    torch.manual_seed(0)
    config = tiny(Path("."), Path("."), method__name=name, method__augment__weak="none", **changes)
    return method_class(name)(config, build_network_of(config, 3), 4).train()


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, SIZE, SIZE, generator=g)
    labels = torch.randint(0, 3, (5, SIZE, SIZE), generator=g)
    return Batch(images[:2], labels[:2]), Batch(images[2:], labels[2:])


def watched(method: Method, iteration: int = 3) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    return student_and_teacher(method, Step(*batches(), iteration, torch.Generator().manual_seed(4)))


@pytest.mark.parametrize("name", BASELINES)
def test_the_loss_is_both_terms_weighted_and_the_warmup_leaves_one_out(name: str) -> None:
    options: dict[str, object] = {"method__weights__pseudo": 3, "method__pseudo__confidence_threshold": 0}
    for iteration, weight in ((0, 0.0), (1, 3.0)):
        terms, _ = watched(build(name, **options), iteration)
        assert terms["pseudo"] > 0
        torch.testing.assert_close(terms["loss"], terms["supervised"] + weight * terms["pseudo"])


def test_mean_teacher_is_the_squared_distance_under_one_geometry() -> None:
    terms, seen = watched(build("mean_teacher"))
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    assert student_images.shape[0] == 5 and teacher_images.shape[0] == 3
    assert not torch.equal(student_images[2:], teacher_images), "the student's colours are perturbed"
    distance = (student[2:].softmax(1) - teacher.softmax(1)).square()
    torch.testing.assert_close(terms["pseudo"].detach(), distance.sum() / (3 * SIZE * SIZE))


def test_cutmix_pastes_a_neighbour_on_image_and_prediction_alike() -> None:
    threshold = 0.4
    terms, seen = watched(build("cutmix", method__pseudo__confidence_threshold=threshold))
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    mixed, given = student_images[2:], teacher_images.roll(1, 0)
    pasted = (mixed == given).all(1)
    assert ((mixed == teacher_images).all(1) | pasted).all(), "every pixel is the image's or its neighbour's"
    assert pasted.float().mean((1, 2)).tolist() == pytest.approx([0.5] * 3, abs=0.03)
    target = torch.where(pasted[:, None], teacher.softmax(1).roll(1, 0), teacher.softmax(1))
    confident = (target.amax(1) > threshold).float().mean()
    assert 0 < confident < 1
    torch.testing.assert_close(terms["confident"], confident)
    distance = (student[2:].softmax(1) - target).square().sum(1).mean()
    torch.testing.assert_close(terms["pseudo"].detach(), distance * confident)


def test_classmix_is_cross_entropy_with_mixed_pseudo_labels_times_the_confident_share() -> None:
    threshold = 0.4
    method = build("classmix", method__pseudo__confidence_threshold=threshold)
    method.views.strong_set = NOTHING  # pictures stay comparable
    terms, seen = watched(method)
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    assert torch.equal(teacher_images, batches()[1].images)
    mixed, given = student_images[2:], teacher_images.roll(1, 0)
    pasted = (mixed == given).all(1)
    assert ((mixed == teacher_images).all(1) | pasted).all()
    sure, y = teacher.softmax(1).max(1)
    for b in range(3):  # whole classes of the giver, half of those it shows
        classes = y[b - 1].unique()
        chosen = [c for c in classes.tolist() if pasted[b][y[b - 1] == c].all()]
        assert len(chosen) == (len(classes) + 1) // 2
        assert pasted[b].sum() == sum(int((y[b - 1] == c).sum()) for c in chosen)
    target, sure = (torch.where(pasted, t.roll(1, 0), t) for t in (y, sure))
    confident = (sure > threshold).float().mean()
    assert 0 < confident < 1
    torch.testing.assert_close(terms["confident"], confident)
    by_hand, _ = oracles.cross_entropy(student[2:], target)
    assert terms["pseudo"].item() == pytest.approx(by_hand * confident.item(), rel=1e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_padding_is_learnt_from_by_none(name: str) -> None:
    words: dict[str, object] = {} if name == "mean_teacher" else {"method__pseudo__confidence_threshold": 0}
    method = build(name, **words)
    method.views.strong_set = NOTHING
    labelled, unlabelled = batches()
    inside = torch.zeros(3, SIZE, SIZE, dtype=torch.bool)
    nowhere = unlabelled._replace(inside=inside)
    assert method.losses(Step(labelled, nowhere, 3, torch.Generator().manual_seed(4)))["pseudo"] == 0
    half = unlabelled._replace(inside=inside.clone().index_fill_(1, torch.arange(20), True))
    seen: dict[str, Tensor] = {}
    hook = method.student.register_forward_hook(lambda _, x, output: seen.update(logits=output.logits))
    terms = method.losses(Step(labelled, half, 3, torch.Generator().manual_seed(4)))
    hook.remove()
    (gradient,) = torch.autograd.grad(terms["pseudo"], seen["logits"], retain_graph=True)
    below = SIZE // gradient.shape[-1]
    rows = -(-20 // below) + 1  # bilinear upsampling reaches one row further
    assert gradient[2:, :, :rows].abs().sum() > 0 and not gradient[2:, :, rows:].any()
    if "confident" in terms:
        assert terms["confident"] == 1, "of the pixels that show an image"


@pytest.mark.parametrize("name", ["cutmix", "classmix"])
def test_published_thresholds_stand_where_none_is_given(name: str) -> None:
    published = {"cutmix": 0.97, "classmix": 0.968}[name]
    results = []
    for value in ("", published, 0.3):
        method = build(name, method__pseudo__confidence_threshold=value)
        with torch.no_grad():
            method.teacher.classifier.weight.mul_(40)  # confidences on both sides of the threshold
        results.append(method.losses(Step(*batches(), 3, torch.Generator().manual_seed(4)))["confident"].item())
    assert results[0] == results[1] != results[2]
    assert 0 < results[0] < 1


@pytest.mark.parametrize("name", method_names())
def test_draws_come_from_the_given_generator_alone(name: str) -> None:
    results = []
    for seed in (1, 2):
        method = build(name)
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        labelled, unlabelled = batches()
        step = Step(labelled, as_needed(unlabelled, method.needs), 3, torch.Generator().manual_seed(7))
        results.append(method.losses(step)["loss"].item())
        assert torch.equal(torch.get_rng_state(), state)
    assert results[0] == results[1]


def test_geometry_moves_pixels_and_colour_leaves_them_in_place() -> None:
    method = build("mean_teacher")
    step = Step(*batches(), 3, torch.Generator().manual_seed(4))
    labels = torch.arange(SIZE * SIZE).view(1, SIZE, SIZE) % 250
    batch = Batch((labels / 250)[:, None].repeat(1, 3, 1, 1), labels)
    for seed in range(99):  # until an image is flipped and none is resized, so that colours stay what they were
        step = Step(batches()[0], batch, 3, torch.Generator().manual_seed(seed))
        images, inside = method.views.geometry(step)
        if inside.all() and torch.equal(images, batch.images.flip(3)):
            break
    else:
        raise AssertionError("no draw flips without resizing")
    unlabelled = batches()[1]
    step = Step(*batches(), 3, torch.Generator().manual_seed(4))
    perturbed = method.views.colour(step, unlabelled.images)
    assert perturbed.shape == unlabelled.images.shape and not torch.equal(perturbed, unlabelled.images)


@pytest.mark.parametrize("name", ["supervised", "joint_statistics"])
def test_an_average_stands_beside_and_changes_nothing(name: str) -> None:
    losses = {}
    for average in (False, True):
        method = build(name, method__average=average)
        labelled, unlabelled = batches()
        losses[average] = method.losses(Step(labelled, unlabelled, 3, torch.Generator().manual_seed(5)))["loss"].item()
        assert (method.teacher is not None) == average and method.cost(4, 4).teacher == 0
        with torch.no_grad():
            next(method.student.parameters()).add_(1.0)
        method.after_step(Step(labelled, unlabelled, 3, torch.Generator().manual_seed(5)))
    assert losses[True] == losses[False]
    average, student = (next(network.parameters()) for network in (method.teacher, method.student))
    assert 0 < (student - average).mean() < 1, "it follows by eq. 2"
