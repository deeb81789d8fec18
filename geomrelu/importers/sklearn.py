"""Multi-layer perceptrons of scikit-learn, alone or at the end of a pipeline of scalers and PCA.

Each step is the real function that its ``transform`` rounds: ``StandardScaler`` (x - mean_) / scale_,
``MinMaxScaler`` x scale_ + min_, ``MaxAbsScaler`` x / scale_, ``RobustScaler`` (x - center_) / scale_,
``PCA`` (x - mean_) components_^T, divided by the square roots of the variances where it whitens.
Steps stay apart (products of their numbers would be rounded).  A division multiplies by the float64
number nearest to the reciprocal; those square roots are rounded in the fitted numbers' own precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from geomrelu.errors import InputError, NotPiecewiseLinearError, UnsupportedLayerError
from geomrelu.importers.program import Constant, Operation, Program, Ref, network_of
from geomrelu.network import Network

__all__ = ["network_from_sklearn", "program_from_sklearn"]

_MLPS = ("MLPClassifier", "MLPRegressor")
_READ = (
    "expected MLPClassifier or MLPRegressor, or a Pipeline of StandardScaler, MinMaxScaler, MaxAbsScaler, "
    "RobustScaler and PCA that ends with one"
)
# Named because people meet them: what is not piecewise linear, whatever is fitted.
_CURVED = "Normalizer PowerTransformer QuantileTransformer PolynomialFeatures KernelPCA Nystroem RBFSampler"


def network_from_sklearn(model: Any) -> Network:
    """A fitted perceptron, or a pipeline that ends with one, as a `Network`, weights unchanged.

    A regressor's outputs are its predictions.  A classifier's are its logits (one for two
    classes, positive where the second class is predicted; else one per class): the logistic or
    softmax that turns them into probabilities is left off.  A pipeline's inputs are the features
    before scaling.

    Raises
    ------
    InputError
        If the model is not fitted.
    NotPiecewiseLinearError
        If its activation is 'tanh' or 'logistic', it predicts an exponential, or a step is curved.
    UnsupportedLayerError
        If it, or a step of it, is another kind of estimator.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MaxAbsScaler
    >>> model = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs").fit([[0, 0], [1, 1]], [0, 1])
    >>> network_from_sklearn(model)
    Network(2-3-1, 3 neurons)
    >>> network_from_sklearn(make_pipeline(MaxAbsScaler(), model).fit([[0, 0], [3, 3]], [0, 1]))
    Network(2-2-3-1, 3 neurons)
    """
    return network_of(program_from_sklearn(model))


def program_from_sklearn(model: Any) -> Program:
    """The operations of `network_from_sklearn`."""
    steps = _Steps()
    if _is_kind(model, ("Pipeline",)):
        *before, (where, last) = _pipeline_steps(model) or [("model", model)]
        for place, step in before:
            _add_transformer(steps, step, place)
        _add_perceptron(steps, last, where)
    else:
        _add_perceptron(steps, model, "model")
    return Program(steps.operations, {}, "input", Ref(steps.last))


class _Steps:
    """Operations in a row, each on the result of the one before it."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.last = "input"

    def then(self, kind: str, where: str, **constants: Any) -> None:
        name = f"step{len(self.operations)}"
        values = [Constant(np.asarray(value), f"{where}: {key}") for key, value in constants.items()]
        self.operations.append(Operation(name, kind, (Ref(self.last), *values), {}, where))
        self.last = name


def _is_kind(model: Any, names: tuple[str, ...]) -> bool:
    return any(base.__name__ in names and base.__module__.startswith("sklearn.") for base in type(model).__mro__)


def _pipeline_steps(pipeline: Any, path: str = "") -> list[tuple[str, Any]]:
    """A pipeline's steps that do something, those of pipelines in it too, and where each stands."""
    found = []
    for name, step in pipeline.steps:
        if _is_kind(step, ("Pipeline",)):
            found += _pipeline_steps(step, f"{path}{name}.")
        elif step is not None and step != "passthrough":
            found.append((f"{path}{name} ({type(step).__name__})", step))
    return found


# ---- transformers


def _add_transformer(steps: _Steps, step: Any, where: str) -> None:
    """Add one step that scales or projects the features."""
    for name, (fitted, add) in _TRANSFORMERS.items():
        if _is_kind(step, (name,)):
            if not hasattr(step, fitted):
                raise InputError(f"{where}: this step is not fitted; call model.fit(X, y) first")
            add(steps, step, where)
            return
    name = type(step).__name__
    if name in _CURVED.split():
        raise NotPiecewiseLinearError(f"{where}: not piecewise linear; {_READ}; fit the model again without it")
    advice = "fit the model again without it, or apply it yourself and give the rest (pipeline[k:])"
    raise UnsupportedLayerError(f"{where}: cannot be read by this version; {_READ}; {advice}")


def _add_standard(steps: _Steps, step: Any, where: str) -> None:
    if step.with_mean:
        steps.then("sub", where, mean_=step.mean_)
    if step.with_std:
        steps.then("div", where, scale_=step.scale_)


def _add_min_max(steps: _Steps, step: Any, where: str) -> None:
    steps.then("mul", where, scale_=step.scale_)
    steps.then("add", where, min_=step.min_)
    if step.clip:
        low, high = step.feature_range
        steps.then("clamp", where, low=float(low), high=float(high))


def _add_max_abs(steps: _Steps, step: Any, where: str) -> None:
    steps.then("div", where, scale_=step.scale_)
    if getattr(step, "clip", False):
        steps.then("clamp", where, low=-1.0, high=1.0)


def _add_robust(steps: _Steps, step: Any, where: str) -> None:
    if step.with_centering:
        steps.then("sub", where, center_=step.center_)
    if step.with_scaling:
        steps.then("div", where, scale_=step.scale_)


def _add_pca(steps: _Steps, step: Any, where: str) -> None:
    steps.then("sub", where, mean_=step.mean_)
    steps.then("linear", where, components_=step.components_)
    if step.whiten:
        # As in its transform: variances that are all but zero are not divided by.
        scale = np.sqrt(np.asarray(step.explained_variance_))
        steps.then("div", where, scale=np.maximum(scale, np.finfo(scale.dtype).eps))


# By class: an attribute that fitting sets, and what adds it.
_TRANSFORMERS: dict[str, tuple[str, Callable[[_Steps, Any, str], None]]] = {
    "StandardScaler": ("n_samples_seen_", _add_standard),
    "MinMaxScaler": ("scale_", _add_min_max),
    "MaxAbsScaler": ("scale_", _add_max_abs),
    "RobustScaler": ("scale_", _add_robust),
    "PCA": ("components_", _add_pca),
}


# ---- the perceptron


def _add_perceptron(steps: _Steps, model: Any, where: str) -> None:
    name = type(model).__name__
    if not _is_kind(model, _MLPS):
        advice = ""
        if hasattr(model, "best_estimator_"):
            advice = "; of a search give its best_estimator_"
        elif hasattr(model, "regressor_"):
            advice = "; give its regressor_, whose outputs are the targets after its transformation"
        elif hasattr(model, "estimators_"):
            advice = "; of an ensemble give its members one by one (estimators_)"
        raise UnsupportedLayerError(f"{where}: got a scikit-learn {name}; {_READ}{advice}")
    if not hasattr(model, "coefs_"):
        raise InputError(f"{where}: this {name} is not fitted; call model.fit(X, y) first")
    if model.activation not in ("relu", "identity"):
        raise NotPiecewiseLinearError(
            f"{where}: {name} with activation={model.activation!r} is not piecewise linear; "
            "expected activation='relu' (or 'identity'): fit it again with that"
        )
    if model.out_activation_ == "exp":
        raise NotPiecewiseLinearError(
            f"{where}: {name} with loss='poisson' predicts an exponential, which is not piecewise linear; "
            "to read the logarithm of its predictions set out_activation_ = 'identity' on a copy"
        )
    last = len(model.coefs_) - 1
    for k, (coefs, intercepts) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        steps.then("linear", where, **{f"coefs_[{k}]": np.asarray(coefs).T, f"intercepts_[{k}]": intercepts})
        if model.activation == "relu" and k < last:
            steps.then("relu", where)
