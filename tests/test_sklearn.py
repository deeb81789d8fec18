"""scikit-learn pipelines: scalers, PCA and perceptrons as one network."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

import geomrelu as gr
from geomrelu.errors import InputError, NotPiecewiseLinearError, UnsupportedLayerError
from geomrelu.importers import as_network, self_check

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
# Features of very different means and sizes, one of them constant.
X = RNG.normal(size=(60, 4)) * [1.0, 100.0, 0.01, 0.0] + [0.0, 5000.0, -3.0, 2.0]
Y = (X[:, 0] + X[:, 1] / 100 > 50).astype(int)


def perceptron(**options: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(6, 5), max_iter=20, random_state=0, **options)


def fitted(*steps: Any, y: Any = Y) -> Pipeline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(*steps).fit(X, y)


def around() -> np.ndarray:
    """Points in the data's own units, well beyond its range too."""
    rng = np.random.default_rng(1)
    return X.mean(axis=0) + 3 * (X.std(axis=0) + 0.1) * rng.normal(size=(200, 4))


@pytest.mark.parametrize(
    "steps",
    [
        (StandardScaler(),),
        (StandardScaler(with_mean=False),),
        (StandardScaler(with_std=False),),
        (MinMaxScaler(),),
        (MinMaxScaler(feature_range=(-2, 0.1)),),
        (MinMaxScaler(clip=True),),
        (MaxAbsScaler(),),
        (RobustScaler(),),
        (RobustScaler(with_centering=False, with_scaling=False),),
        (PCA(),),
        (PCA(n_components=2),),
        (PCA(n_components=2, whiten=True),),
        (PCA(whiten=True),),
        ("passthrough",),
        (StandardScaler(), PCA(2), MinMaxScaler(clip=True)),
        (make_pipeline(StandardScaler(), PCA(3)), MaxAbsScaler()),
    ],
    ids=str,
)
def test_pipelines_compute_what_scikit_learn_does(steps: tuple[Any, ...]) -> None:
    pipeline = fitted(*steps, perceptron())
    network = as_network(pipeline)
    points = around()
    assert network.n_inputs == 4
    expected = pipeline.predict(points)
    np.testing.assert_allclose(network(points)[:, 0], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    check = self_check(pipeline, network, points)
    assert check.ok, str(check)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_pipeline_of_a_classifier_gives_logits(classes: int) -> None:
    labels = np.arange(len(X)) % classes
    pipeline = fitted(StandardScaler(), MLPClassifier((7,), max_iter=20, random_state=0), y=labels)
    logits = as_network(pipeline)(around())
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = 1 / (1 + np.exp(-logits)) if classes == 2 else scores / scores.sum(axis=1, keepdims=True)
    expected = pipeline.predict_proba(around())
    np.testing.assert_allclose(probabilities, expected[:, 1:] if classes == 2 else expected, atol=1e-9)
    assert self_check(pipeline).ok


def test_steps_are_exact() -> None:
    """Sums, products and clipping by the rationals that scikit-learn's numbers are; only divisions are rounded."""
    pipeline = fitted(MinMaxScaler(clip=True, feature_range=(0, 3)), perceptron())
    scaler, mlp = pipeline[0], pipeline[1]
    network = as_network(pipeline)

    def exact(layers: list[tuple[Any, Any, int]], point: list[Fraction]) -> list[Fraction]:
        for weight, bias, n_neurons in layers:
            point = [
                sum((Fraction(w) * h for w, h in zip(row, point, strict=True)), Fraction(b))
                for row, b in zip(weight, bias, strict=True)
            ]
            point = [max(h, Fraction(0)) if k < n_neurons else h for k, h in enumerate(point)]
        return point

    def dense(weight: Any) -> list[list[float]]:
        return (weight if isinstance(weight, np.ndarray) else weight.toarray()).tolist()

    own = [(dense(layer.weight), layer.bias.tolist(), layer.n_neurons) for layer in network.layers]
    theirs = [(w.T.tolist(), b.tolist(), len(b)) for w, b in zip(mlp.coefs_, mlp.intercepts_, strict=True)]
    theirs[-1] = (*theirs[-1][:2], 0)
    for point in X[:3] + [[10.0, 0.0, -0.1, 0.0]]:
        x = [Fraction(value) for value in point.tolist()]
        scaled = [
            min(max(h * Fraction(s) + Fraction(m), Fraction(0)), Fraction(3))
            for h, s, m in zip(x, scaler.scale_.tolist(), scaler.min_.tolist(), strict=True)
        ]
        assert exact(own, x) == exact(theirs, scaled)


def test_regions_in_the_features_own_units() -> None:
    """A pipeline's partition is the perceptron's, stretched."""
    x = RNG.normal(size=(50, 2)) * 8 + 16
    pipeline = make_pipeline(MaxAbsScaler(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0)).fit(
        x, x[:, 0]
    )
    pipeline[0].scale_[:] = 32.0  # a power of two: no rounding on the way
    inner = as_network(pipeline[1])
    outer = gr.partition(as_network(pipeline), gr.Box(-32, 32))
    assert outer.n_regions == gr.count_regions(inner, gr.Box(-1, 1)) > 1


def test_data_frames_and_feature_names() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), perceptron()).fit(frame, Y)
    np.testing.assert_allclose(as_network(pipeline)(X)[:, 0], pipeline.predict(frame), rtol=1e-9, atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert self_check(pipeline).ok


def test_models_are_left_as_they_are() -> None:
    pipeline = fitted(StandardScaler(), MLPClassifier((4,), max_iter=5, random_state=0))
    before = pipeline.predict_proba(X)
    self_check(pipeline)
    assert pipeline[-1].out_activation_ == "logistic"
    np.testing.assert_array_equal(pipeline.predict_proba(X), before)


def test_refusals() -> None:
    cases: list[tuple[Any, type[InputError], str]] = [
        (fitted(Normalizer(), perceptron()), NotPiecewiseLinearError, r"normalizer \(Normalizer\): not piecewise"),
        (fitted(PolynomialFeatures(), perceptron()), NotPiecewiseLinearError, "PolynomialFeatures"),
        (fitted(FunctionTransformer(), perceptron()), UnsupportedLayerError, "functiontransformer .*cannot be read"),
        (
            fitted(make_pipeline(StandardScaler(), Normalizer()), perceptron()),
            NotPiecewiseLinearError,
            r"e\.normalizer",
        ),
        (make_pipeline(StandardScaler(), perceptron()), InputError, r"standardscaler .*not fitted"),
        (make_pipeline(StandardScaler().fit(X), perceptron()), InputError, r"mlpregressor .*not fitted"),
        (make_pipeline(StandardScaler(), PCA()).fit(X), UnsupportedLayerError, r"pca \(PCA\): got a scikit-learn PCA"),
        (make_pipeline("passthrough"), UnsupportedLayerError, "got a scikit-learn Pipeline"),
        (TransformedTargetRegressor(perceptron()).fit(X, Y), UnsupportedLayerError, "give its regressor_"),
        (GridSearchCV(perceptron(), {"alpha": [0.1]}).fit(X, Y), UnsupportedLayerError, "best_estimator_"),
        (BaggingRegressor(perceptron(), 2).fit(X, Y), UnsupportedLayerError, "one by one"),
        (fitted(StandardScaler(), perceptron(activation="tanh")), NotPiecewiseLinearError, "mlpregressor.*'tanh'"),
    ]
    for model, error, message in cases:
        with pytest.raises(error, match=message):
            as_network(model)


def test_predictions_that_are_exponentials_are_refused() -> None:
    model = fitted(StandardScaler(), perceptron(loss="poisson"))
    with pytest.raises(NotPiecewiseLinearError, match="loss='poisson' predicts an exponential"):
        as_network(model)
