"""The class-specific attention against one ordinary nn.Sequential per class, gradients and statistics too."""

import pytest
import torch
from oracles import class_attention as oracle
from torch import Tensor, nn

from semiseg.losses.contrastive import contrastive_loss, normalised_weights
from semiseg.networks import class_attention
from semiseg.networks.class_attention import ClassAttention
from semiseg.networks.rows_by_class import Blocks, RowsByClass, Runs, rows_by_class

CLASSES, DIM, HIDDEN = 5, 4, 6
SHAPES = {
    "weight1": (CLASSES, HIDDEN, DIM),
    "bias1": (CLASSES, HIDDEN),
    "norm_weight": (CLASSES, HIDDEN),
    "norm_bias": (CLASSES, HIDDEN),
    "weight2": (CLASSES, HIDDEN),
    "bias2": (CLASSES,),
    "running_mean": (CLASSES, HIDDEN),
    "running_var": (CLASSES, HIDDEN),
}
# Class 0 has five vectors, class 1 two, class 2 one, class 3 none, class 4 three; four rows are of no class.
LABELS = torch.tensor([0, 4, 255, 1, 0, 2, 0, -1, 4, CLASSES, 1, 0, 4, 0, 255])
# The same with counts on either side of powers of two, where an implementation in blocks has its seams.
MANY = torch.repeat_interleave(torch.tensor([0, 1, 2, 4, 255]), torch.tensor([129, 128, 1, 515, 140]))
MANY = MANY[torch.randperm(len(MANY), generator=torch.Generator().manual_seed(3))]
both_batches = pytest.mark.parametrize("labels", [LABELS, MANY], ids=["few", "many"])


@pytest.fixture(autouse=True, params=[Runs, Blocks])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[RowsByClass]:
    """Every test with the layout of a CPU and with that of an accelerator."""
    monkeypatch.setattr(class_attention, "rows_by_class", request.param)
    return request.param


def test_an_accelerator_gets_blocks_whose_number_does_not_follow_the_labels() -> None:
    assert isinstance(rows_by_class(LABELS, CLASSES), Runs)
    assert isinstance(rows_by_class(LABELS.to("meta"), 1), Blocks)
    sizes = {Blocks(labels, CLASSES).arrange(torch.zeros(len(MANY), 1)).shape for labels in (MANY, MANY * 0)}
    assert len(sizes) == 1


def attention(seed: int = 0, dtype: torch.dtype = torch.float64) -> ClassAttention:
    """An attention all of whose parameters and running statistics are random and differ between classes."""
    module = ClassAttention(CLASSES, DIM, HIDDEN).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, shape in SHAPES.items():
            values = torch.randn(shape, generator=generator, dtype=torch.float64)
            getattr(module, name).copy_(values.abs() + 0.5 if name == "running_var" else values)
    return module


def vectors_for(labels: Tensor, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), DIM, generator=generator, dtype=torch.float64)


def run_oracle(
    module: ClassAttention, vectors: Tensor, labels: Tensor, training: bool
) -> tuple[Tensor, list[nn.Sequential]]:
    """Scores class by class, and the per-class networks after that pass."""
    scores = torch.zeros(len(labels), dtype=vectors.dtype)
    networks = []
    for c in range(CLASSES):
        network = oracle(module, c)
        rows = (labels == c).nonzero().flatten()
        network.train(training and len(rows) > 1)  # a single vector is normalised with the running statistics
        if len(rows):
            scores = scores.index_put((rows,), network(vectors[rows]).squeeze(1))
        networks.append(network)
    return scores, networks


def test_parameters_have_the_stated_shapes_and_start_well() -> None:
    module = ClassAttention(CLASSES, DIM, HIDDEN)
    assert {name: tuple(getattr(module, name).shape) for name in SHAPES} == SHAPES
    learned = {name for name, _ in module.named_parameters()}
    assert learned == set(SHAPES) - {"running_mean", "running_var"}
    assert set(SHAPES) <= set(module.state_dict())
    assert torch.equal(module.norm_weight, torch.ones(CLASSES, HIDDEN)) and not module.norm_bias.any()
    assert torch.equal(module.running_var, torch.ones(CLASSES, HIDDEN)) and not module.running_mean.any()
    assert len({tuple(module.weight1[c].flatten().tolist()) for c in range(CLASSES)}) == CLASSES


def test_default_widths_are_256() -> None:
    assert ClassAttention(2).weight1.shape == (2, 256, 256)


@both_batches
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_scores_equal_one_network_per_class(training: bool, labels: Tensor) -> None:
    module, vectors = attention().train(training), vectors_for(labels)
    expected, _ = run_oracle(module, vectors, labels, training)
    scores = module(vectors, labels)
    assert scores.shape == labels.shape and scores.dtype == torch.float64
    torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-12)
    inside = (labels >= 0) & (labels < CLASSES)
    assert (scores[inside] > 0).all() and (scores[inside] < 1).all()
    assert not scores[~inside].any()


@both_batches
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradients_equal_one_network_per_class(training: bool, labels: Tensor) -> None:
    module = attention().train(training)
    ours, theirs = (vectors_for(labels).requires_grad_() for _ in range(2))
    # Unequal factors, so that no gradient cancels within a class.
    factors = torch.arange(1, len(labels) + 1, dtype=torch.float64).sqrt()
    expected, networks = run_oracle(module, theirs, labels, training)
    (expected * factors).sum().backward()
    (module(ours, labels) * factors).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-11)
    outside = (labels < 0) | (labels >= CLASSES)
    assert not ours.grad[outside].any() and ours.grad[labels == 4].any()
    their_names = {
        "weight1": "0.weight",
        "bias1": "0.bias",
        "norm_weight": "1.weight",
        "norm_bias": "1.bias",
        "weight2": "3.weight",
        "bias2": "3.bias",
    }
    for name, their_name in their_names.items():
        found = getattr(module, name).grad
        assert found is not None and not found[3].any(), "the absent class learns nothing"
        for c in (0, 1, 2, 4):
            gradient = dict(networks[c].named_parameters())[their_name].grad
            assert gradient is not None
            torch.testing.assert_close(found[c], gradient.reshape(found[c].shape), rtol=1e-9, atol=1e-11)


@both_batches
def test_running_statistics_follow_each_class(labels: Tensor) -> None:
    module, vectors = attention().train(), vectors_for(labels)
    before = {name: getattr(module, name).clone() for name in ("running_mean", "running_var")}
    _, networks = run_oracle(module, vectors, labels, training=True)
    module(vectors, labels)
    for name, old in before.items():
        expected = torch.stack([network[1].get_buffer(name) for network in networks])
        found = getattr(module, name)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        assert torch.equal(found[[2, 3]], old[[2, 3]]), "single and absent are left alone"
        assert not torch.isclose(found[[0, 1, 4]], old[[0, 1, 4]]).any()
        assert not found.requires_grad


def test_running_statistics_by_hand() -> None:
    # One unit that passes its input on; values 1 and 4: mean 2.5, unbiased variance 4.5; then 3 and 8: 5.5 and 12.5.
    module = ClassAttention(1, 1, 1).double().train()
    with torch.no_grad():
        module.weight1.fill_(1)
        module.bias1.zero_()
    module(torch.tensor([[1.0], [4.0]], dtype=torch.float64), torch.tensor([0, 0]))
    assert module.running_mean.item() == pytest.approx(2.5, rel=1e-9), "the first batch sets them whole"
    assert module.running_var.item() == pytest.approx(4.5, rel=1e-9)
    module(torch.tensor([[3.0], [8.0]], dtype=torch.float64), torch.tensor([0, 0]))
    assert module.running_mean.item() == pytest.approx(0.9 * 2.5 + 0.1 * 5.5, rel=1e-9)
    assert module.running_var.item() == pytest.approx(0.9 * 4.5 + 0.1 * 12.5, rel=1e-9)


def test_evaluation_leaves_the_running_statistics_alone() -> None:
    module = attention().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module(vectors_for(LABELS), LABELS)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_rows_of_other_classes_have_no_influence(training: bool) -> None:
    vectors = vectors_for(LABELS)
    inside = LABELS == 0
    scores = attention().train(training)(vectors, LABELS)
    others_changed = torch.where(inside[:, None], vectors, 1e3 * vectors)
    changed = attention().train(training)(others_changed, LABELS)
    torch.testing.assert_close(changed[inside], scores[inside], rtol=1e-9, atol=0)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("labels", [[], [255, -1, CLASSES]], ids=["no rows", "no row of a class"])
def test_nothing_to_score(labels: list[int], training: bool) -> None:
    module, where = attention().train(training), torch.tensor(labels, dtype=torch.int64)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    scores = module(vectors_for(where), where)
    assert scores.shape == where.shape and scores.tolist() == [0] * len(labels)
    if labels:
        scores.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())


def test_single_precision_is_as_exact_as_the_ordinary_layers() -> None:
    # A mean far from zero: a variance taken as E[x^2] - E[x]^2 would lose most digits here.
    labels = torch.arange(40) % CLASSES
    vectors = vectors_for(labels) + 300
    exact, _ = run_oracle(attention(), vectors, labels, training=True)
    single = attention(dtype=torch.float32).train()
    ordinary, _ = run_oracle(single, vectors.float(), labels, training=True)
    scores = single(vectors.float(), labels)
    assert scores.dtype == torch.float32
    allowed = 10 * (ordinary - exact).abs().max().item() + 1e-5
    assert allowed < 0.02
    assert (scores - exact).abs().max().item() < allowed


@pytest.mark.parametrize("count", [1, 3])
def test_a_class_that_scores_next_to_nothing_still_has_weights_and_gradients(count: int) -> None:
    """Eq. 8 divides by the sum of a class's scores; in single precision sigmoid(-200) is 0."""
    module = attention(dtype=torch.float32)
    with torch.no_grad():
        module.bias2[1] = -200.0
    labels = torch.tensor([0, 0, *[1] * count])
    vectors = vectors_for(labels).float().requires_grad_()
    scores = module(vectors, labels)
    assert (scores > 0).all() and (scores[labels == 1] < 1e-12).all()
    loss = contrastive_loss(vectors, labels, scores, vectors.detach().flip(0), labels.flip(0), scores.flip(0), CLASSES)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(vectors.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())
    weights = normalised_weights(scores.detach(), labels, CLASSES)
    assert weights[labels == 1].mean() == pytest.approx(1, rel=1e-5)
