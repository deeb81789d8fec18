"""What importers read is what the library computes, weight for weight."""

from __future__ import annotations

import contextlib
import copy
import random
import subprocess
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

import geomrelu as gr
from geomrelu import Network
from geomrelu.errors import (
    InputError,
    NotPiecewiseLinearError,
    ShapeError,
    UnsupportedLayerError,
    WeightError,
)
from geomrelu.importers import as_network

POINTS = np.random.default_rng(0).uniform(-2, 2, (200, 2))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def assert_same_function(model: nn.Module, network: Network, points: np.ndarray = POINTS) -> None:
    """The network and the module in float64 agree within rounding."""
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        expected = double(torch.from_numpy(points)).numpy().reshape(len(points), -1)
    np.testing.assert_allclose(network(points), expected, rtol=1e-12, atol=1e-12)


class Functional(nn.Module):
    """Everything that is read, in one forward."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(2, 4)
        self.second = nn.Linear(4, 4, bias=False)
        self.last = nn.Linear(4, 1)
        self.matrix = nn.Parameter(torch.randn(4, 4))
        self.mask = nn.Buffer((torch.rand(4, 4) > 0.3).float())
        self.offset = nn.Parameter(torch.randn(4))
        self.dropout = nn.Dropout()
        self.block = nn.Sequential(nn.Identity(), nn.Linear(4, 4), nn.Sequential(nn.ReLU(inplace=inplace)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x.flatten(1)))
        x = torch.relu(self.second(x))
        x = (x @ self.matrix.T + self.offset).relu()
        x = self.dropout(x).clamp(min=0)
        x = F.dropout(x, training=self.training)
        x = self.block(F.linear(x, self.matrix * self.mask, self.offset).view(x.size(0), -1))
        x = 0.5 - 2 * x.reshape(x.shape[0], 4) / 4
        return self.last(-x.contiguous()).squeeze(-1)


def sequential(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 5), *middle, nn.Linear(5, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_sequential_keeps_every_weight(dtype: torch.dtype) -> None:
    model = sequential(nn.ReLU(), nn.Linear(5, 5), nn.ReLU()).to(dtype)
    network = as_network(model)
    assert network.widths == (5, 5)
    linears = [m for m in model if isinstance(m, nn.Linear)]
    for layer, linear in zip(network.layers, linears, strict=True):
        np.testing.assert_array_equal(layer.weight, linear.weight.detach().double().numpy())
        np.testing.assert_array_equal(layer.bias, linear.bias.detach().double().numpy())
    assert_same_function(model, network)


@pytest.mark.parametrize("inplace", [False, True])
def test_functional_forward(inplace: bool) -> None:
    model = Functional(inplace).eval()
    network = as_network(model)
    assert network.n_neurons == 16
    assert_same_function(model, network)


@pytest.mark.parametrize("dynamic", [False, True])
def test_exported_programs(dynamic: bool) -> None:
    model = Functional().eval()
    shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
    program = torch.export.export(model, (torch.randn(3, 2),), dynamic_shapes=shapes)
    for form in (program, program.run_decompositions(), program.module()):
        assert_same_function(model, as_network(form))


def test_exported_single_point() -> None:
    model = sequential(nn.ReLU())
    program = torch.export.export(model, (torch.randn(2),))
    assert_same_function(model, as_network(program))


@pytest.mark.parametrize("wrap", [torch.fx.symbolic_trace, torch.compile, nn.DataParallel])
def test_wrapped_modules(wrap: object) -> None:
    model = Functional().eval()
    assert_same_function(model, as_network(wrap(model)))  # type: ignore[operator]


def test_consecutive_linear_layers_are_not_multiplied() -> None:
    """Their product would be rounded in float64."""
    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    for parameter in model.double().parameters():
        nn.init.normal_(parameter)
    network = as_network(model)
    assert network.widths == (0, 3)
    np.testing.assert_array_equal(network.layers[1].weight, model[1].weight.detach().numpy())
    assert_same_function(model, network)


def test_last_relu_gets_an_identity_output_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    network = as_network(model)
    assert network.widths == (3,)
    np.testing.assert_array_equal(network.output.weight, np.eye(3))
    assert_same_function(model, network)


def test_two_relus_in_a_row_are_one() -> None:
    model = sequential(nn.ReLU(), nn.ReLU())
    assert as_network(model).widths == (5,)
    assert_same_function(model, as_network(model))


def test_relu_of_the_input() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    assert as_network(model).widths == (2,)
    assert_same_function(model, as_network(model))


def test_module_that_is_one_layer() -> None:
    model = nn.Linear(2, 3)
    assert as_network(model).widths == ()
    assert_same_function(model, as_network(model))


def test_shared_weights() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), layer)
    network = as_network(model)
    assert network.widths == (2, 2)
    assert_same_function(model, network)


def test_bias_after_a_product_is_exact() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x @ self.weight + self.bias)

    model = Product()
    network = as_network(model)
    assert network.widths == (3,)
    np.testing.assert_array_equal(network.layers[0].weight, model.weight.detach().numpy().T)
    np.testing.assert_array_equal(network.layers[0].bias, model.bias.detach().numpy())


def test_pruned_weights_are_fresh() -> None:
    model = sequential(nn.ReLU())
    nn.utils.prune.l1_unstructured(model[0], "weight", 0.5)
    with torch.no_grad():
        model[0].weight_orig.mul_(3)  # as a training step would: module.weight is stale now
    network = as_network(model)
    expected = (model[0].weight_orig * model[0].weight_mask).detach().numpy()
    np.testing.assert_array_equal(network.layers[0].weight, expected)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_parametrized_weights(norm: object) -> None:
    model = nn.Sequential(norm(nn.Linear(2, 5)), nn.ReLU(), nn.Linear(5, 3))  # type: ignore[operator]
    model.eval()
    network = as_network(model)
    np.testing.assert_array_equal(network.layers[0].weight, model[0].weight.detach().numpy())


def test_reading_leaves_the_module_unchanged() -> None:
    class Recorder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))
            self.history: list[object] = []
            self.calls = nn.Buffer(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.history.append(x)
            self.latest = x
            return self.layer(x) + torch.tensor([1.0, 2.0])

    model = Recorder()
    names = {module: set(vars(module)) for module in model.modules()}
    state = {key: value.clone() for key, value in model.state_dict().items()}
    network = as_network(model)
    assert model.layer.bias is not None
    np.testing.assert_array_equal(network.output.bias, model.layer.bias.detach().double().numpy() + [1.0, 2.0])
    assert {module: set(vars(module)) for module in model.modules()} == names
    assert model.history == []
    assert model.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_forward_with_defaults() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor, logits: bool = True, mask: torch.Tensor | None = None) -> torch.Tensor:
            x = self.layer(x)
            if mask is not None:
                x = x * mask
            return x if logits else torch.softmax(x, 1)

    model = Optional()
    assert_same_function(model, as_network(model))


# ---- refused


NOT_LINEAR = [
    (nn.GELU(), "GELU"),
    (nn.Sigmoid(), "Sigmoid"),
    (nn.Tanh(), "Tanh"),
    (nn.SiLU(), "SiLU"),
    (nn.ELU(), "ELU"),
    (nn.Softplus(), "Softplus"),
    (nn.Softmax(1), "Softmax"),
    (nn.LayerNorm(5), "LayerNorm"),
    (nn.MultiheadAttention(5, 1), "MultiheadAttention"),
]


@pytest.mark.parametrize(("layer", "name"), NOT_LINEAR, ids=[name for _, name in NOT_LINEAR])
def test_layers_that_are_not_piecewise_linear_are_named(layer: nn.Module, name: str) -> None:
    model = nn.Sequential()
    model.add_module("layers", sequential(nn.ReLU(), nn.Linear(5, 5), layer))
    with pytest.raises(NotPiecewiseLinearError, match=rf"^layers\.3 \({name}\)"):
        as_network(model)


@pytest.mark.parametrize("layer", [nn.GELU(), nn.Sigmoid()])
def test_exported_layers_are_named(layer: nn.Module) -> None:
    model = nn.Sequential(sequential(nn.ReLU(), layer))
    name = type(layer).__name__
    with pytest.raises(NotPiecewiseLinearError, match=rf"^0\.2 \({name}\)"):
        as_network(torch.export.export(model, (torch.randn(3, 2),)))


@pytest.mark.parametrize("function", [torch.sigmoid, F.gelu, torch.exp, torch.square, lambda x: x**2, lambda x: x * x])
def test_functions_that_are_not_piecewise_linear(function: object) -> None:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(self.layer(x))  # type: ignore[operator, no-any-return]

    with pytest.raises(NotPiecewiseLinearError, match=r"^model \(Calls\), \w+ in its forward: "):
        as_network(Calls())


def test_dropout_in_training_mode() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"^1 \(Dropout\).*model\.eval\(\)"):
        as_network(sequential(nn.Dropout()))
    assert as_network(sequential(nn.Dropout()).eval()).n_neurons == 0


def test_control_flow_on_values() -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedLayerError, match=r"Branches cannot be followed .*torch\.export"):
        as_network(Branches())


def test_writing_over_a_value_that_is_used_again() -> None:
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.layer(x)
            F.relu_(h.view(-1, 2))
            return self.layer(h)

    with pytest.raises(UnsupportedLayerError, match="relu_ in its forward: writes in place"):
        as_network(Overwrites())


def test_setting_entries() -> None:
    class Sets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.layer(x)
            h[:, 0] = 0
            return h

    with pytest.raises(UnsupportedLayerError, match="item assignment"):
        as_network(Sets())
    with pytest.raises(UnsupportedLayerError, match="writes in place"):
        as_network(torch.export.export(Sets(), (torch.randn(3, 2),)))


def test_overridden_forward_of_a_linear_layer_is_followed() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return F.linear(input, 2 * self.weight, self.bias)

    model = nn.Sequential(Doubled(2, 5), nn.ReLU(), nn.Linear(5, 1))
    assert_same_function(model, as_network(model))


def test_forward_hooks_are_refused() -> None:
    model = sequential(nn.ReLU())
    handle = model[1].register_forward_hook(lambda module, args, output: -output)
    with pytest.raises(UnsupportedLayerError, match=r"^1 \(ReLU\): has a forward hook"):
        as_network(model)
    handle.remove()
    as_network(model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sequential(nn.LazyLinear(5)), "1.weight: not initialised"),
        (sequential(nn.Linear(5, 5, device="meta")), "1.weight: is on the meta device"),
        (nn.Sequential(nn.Linear(2, 5, dtype=torch.complex64)), r"0\.(weight|bias): got dtype complex64"),
    ],
)
def test_weights_without_real_values(model: nn.Module, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        as_network(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(value: float) -> None:
    model = nn.Sequential(sequential(nn.ReLU()))
    with torch.no_grad():
        model[0][2].weight[1, 3] = value
    with pytest.raises(WeightError, match=rf"0\.2\.weight: entry \(1, 3\) is {value}"):
        as_network(model)


def test_quantised_module() -> None:
    model = torch.ao.quantization.quantize_dynamic(sequential(nn.ReLU()))
    with pytest.raises(UnsupportedLayerError, match=r"^0 \(torch\.ao\..*Linear\)"):
        as_network(model)


def test_script_module() -> None:
    with pytest.raises(UnsupportedLayerError, match="TorchScript"):
        as_network(torch.jit.script(sequential(nn.ReLU())))


def test_layers_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"^2 \(Linear\): takes 4 inputs .* has 5 outputs"):
        as_network(nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(4, 1)))


def test_several_inputs_or_outputs() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.layer(x), -x

    with pytest.raises(UnsupportedLayerError, match="takes 2 inputs"):
        as_network(Two())
    with pytest.raises(UnsupportedLayerError, match="returns 2 outputs"):
        as_network(Pair())


# ---- scikit-learn


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).normal(size=(80, 2))
    return x, (x[:, 0] * x[:, 1] > 0).astype(int) + (x[:, 0] > 1)


@pytest.mark.filterwarnings("ignore", category=ConvergenceWarning)
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_sklearn_regressor(activation: str) -> None:
    x, y = data()
    model = MLPRegressor(hidden_layer_sizes=(6, 5), activation=activation, max_iter=30, random_state=0).fit(x, y)
    network = as_network(model)
    assert network.widths == ((6, 5) if activation == "relu" else (0, 0))
    np.testing.assert_array_equal(network.layers[1].weight, model.coefs_[1].T)
    np.testing.assert_allclose(network(POINTS)[:, 0], model.predict(POINTS), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore", category=ConvergenceWarning)
@pytest.mark.parametrize("classes", [2, 3])
def test_sklearn_classifier_gives_logits(classes: int) -> None:
    x, y = data()
    model = MLPClassifier(hidden_layer_sizes=(7,), max_iter=30, random_state=0).fit(x, np.minimum(y, classes - 1))
    logits = as_network(model)(POINTS)
    probabilities = model.predict_proba(POINTS)
    if classes == 2:
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), probabilities[:, 1], rtol=1e-12)
    else:
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(expected, probabilities, rtol=1e-12)


@pytest.mark.filterwarnings("ignore", category=ConvergenceWarning)
@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_sklearn_activations_that_are_not_piecewise_linear(activation: str) -> None:
    x, y = data()
    model = MLPClassifier(hidden_layer_sizes=(3,), activation=activation, max_iter=2).fit(x, y)
    with pytest.raises(NotPiecewiseLinearError, match=f"activation='{activation}'.*relu"):
        as_network(model)


def test_sklearn_models_that_are_not_read() -> None:
    from sklearn.linear_model import LinearRegression

    with pytest.raises(InputError, match=r"not fitted; call model\.fit"):
        as_network(MLPRegressor())
    with pytest.raises(UnsupportedLayerError, match="LinearRegression"):
        as_network(LinearRegression())


# ---- anything else


def test_network_is_returned_as_it_is() -> None:
    network = Network([[[1.0, 2.0]]])
    assert as_network(network) is network


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "got NoneType"),
        ("model.pt", "read_model"),
        ({"weight": 1}, "load_state_dict"),
        (nn.Linear, "the class Linear"),
        (np.zeros(3), "got ndarray"),
    ],
)
def test_other_objects(model: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        as_network(model)
    assert "torch.nn.Module" in str(caught.value)


def test_neither_library_is_imported_for_a_network() -> None:
    code = (
        "import sys, geomrelu as gr; from geomrelu.importers import as_network;"
        "as_network(gr.Network([[[1.0, 2.0]]]));"
        "print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Noisy(nn.Module):
    """Adds something to its first layer that does not depend on the input."""

    def __init__(self, extra: object) -> None:
        super().__init__()
        self.first, self.last, self.extra = nn.Linear(2, 5), nn.Linear(5, 1), extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x) + self.extra()))  # type: ignore[operator]


def _coin() -> float:
    """A draw that both readings may answer alike."""
    return 0.0 if random.random() < 2 else 1.0


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (lambda: torch.randn(5), r"torch randn at test_importers\.py:\d+"),
        (lambda: torch.rand(1).item(), "torch rand at"),
        (lambda: torch.empty(5).uniform_(), "torch uniform at"),
        (lambda: F.dropout(torch.ones(5)), "torch bernoulli at"),
        (lambda: float(np.random.normal()), r"numpy\.random"),  # noqa: NPY002
        (lambda: torch.from_numpy(np.random.default_rng().normal(size=5)).float(), "draws random numbers"),
        (random.random, "Python's random"),
        (_coin, "Python's random"),
    ],
)
def test_random_forwards_are_refused(extra: object, named: str) -> None:
    """Each call of such a module gives another network: none of them is the module's."""
    with pytest.raises(UnsupportedLayerError, match=rf"model \(Noisy\): .*{named}.*fixed"):
        as_network(Noisy(extra))


def test_random_parametrizations_are_refused() -> None:
    class Jitter(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight + torch.randn_like(weight)

    model = sequential(nn.ReLU())
    nn.utils.parametrize.register_parametrization(model[0], "weight", Jitter())
    with pytest.raises(UnsupportedLayerError, match="torch randn_like at"):
        as_network(model)


def test_seeded_draws_are_weights_like_others() -> None:
    def fixed() -> torch.Tensor:
        return torch.randn(5, generator=torch.Generator().manual_seed(3))

    def seeded() -> torch.Tensor:
        torch.manual_seed(4)
        return torch.randn(5)

    for extra in (fixed, seeded):
        model = Noisy(extra)
        with torch.no_grad():
            expected = model(torch.from_numpy(POINTS).float()).numpy()
        np.testing.assert_allclose(as_network(model)(POINTS), expected, atol=1e-5)


def test_reading_a_model_leaves_the_random_states_alone() -> None:
    numpy_state = np.random.get_state
    models = Noisy(lambda: torch.zeros(5)), Noisy(lambda: torch.randn(5) + random.random())
    states = torch.get_rng_state(), random.getstate(), numpy_state()
    for model in models:
        with contextlib.suppress(UnsupportedLayerError):
            as_network(model)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert random.getstate() == states[1]
        np.testing.assert_equal(numpy_state(), states[2])


# ---- the input's shape


@pytest.mark.parametrize(
    "shape", [4, "144", (1, 4.5, 4), (True, 4, 4), (0, 4, 4), (-1, 4, 4), (), [], (10**9, 10**9), {1: 4}, np.array(4.0)]
)
@pytest.mark.parametrize("kind", ["module", "network"])
def test_shapes_that_are_none(shape: Any, kind: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ShapeError, match="expected whole numbers, 1 or more"):
        as_network(model if kind == "module" else as_network(model), shape)


def test_other_shapes_with_the_same_numbers() -> None:
    """Flat, or with other axes of length 1, the order is the same; an image with its channels last is another input."""
    module = nn.Sequential(nn.Conv2d(2, 1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1)).eval()
    image = np.random.default_rng(0).normal(size=(2, 4, 4))
    exported = torch.export.export(module, (torch.zeros(3, 2, 4, 4),))
    network = as_network(module, (2, 4, 4))
    for model in (exported, network):
        for shape in ((32,), (1, 2, 4, 4), [2, 4, 4], np.array([2, 4, 4])):
            np.testing.assert_array_equal(as_network(model, shape)(image.reshape(1, -1)), network(image.reshape(1, -1)))
        with pytest.raises(ShapeError, match="shape"):
            as_network(model, (4, 4, 2))
        with pytest.raises(ShapeError, match="shape"):
            gr.partition(model, gr.Slice.axes(0, 1, at=np.zeros((4, 4, 2)), domain=gr.Box(-1, 1)))


def test_a_sequential_is_read_as_when_its_forward_is_followed() -> None:
    shared = nn.Linear(3, 3)
    inner = nn.Sequential(nn.LeakyReLU(0.25), shared, nn.Hardtanh(), shared)
    chain = nn.Sequential(OrderedDict(input=nn.Linear(2, 3), middle=inner, out=nn.Linear(3, 2)))

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = chain

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.chain(x)

    read, followed = (as_network(model) for model in (chain, Wrapped()))
    assert len(read.layers) == len(followed.layers)
    for ours, theirs in zip(read.layers, followed.layers, strict=True):
        assert ours.n_neurons == theirs.n_neurons
        assert np.array_equal(ours.weight, theirs.weight)
        assert np.array_equal(ours.bias, theirs.bias)


def test_reading_a_model_loads_no_compiler_of_torch() -> None:
    code = """
import sys, torch, geomrelu as gr

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        return torch.relu(self.layer(x))

from geomrelu.importers import as_network
for model in (Model(), torch.nn.Sequential(torch.nn.Linear(2, 1))):
    as_network(model)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
