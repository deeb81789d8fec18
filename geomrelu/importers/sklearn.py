"""Multi-layer perceptrons of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from geomrelu.arrays import real_array
from geomrelu.errors import InputError, NotPiecewiseLinearError, UnsupportedLayerError
from geomrelu.network import Layer, Network

__all__ = ["network_from_sklearn"]

_MLPS = ("MLPClassifier", "MLPRegressor")


def network_from_sklearn(model: Any) -> Network:
    """A fitted ``MLPClassifier`` or ``MLPRegressor`` as a `Network`, weights unchanged.

    A regressor's outputs are its predictions.  A classifier's are its logits (one for two
    classes, positive where the second class is predicted; else one per class): the logistic or
    softmax that turns them into probabilities is left off.

    Raises
    ------
    InputError
        If the model is not fitted.
    NotPiecewiseLinearError
        If its activation is 'tanh' or 'logistic'.
    UnsupportedLayerError
        If it is another kind of estimator.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> model = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs").fit([[0, 0], [1, 1]], [0, 1])
    >>> network_from_sklearn(model)
    Network(2-3-1, 3 neurons)
    """
    name = type(model).__name__
    if not any(base.__name__ in _MLPS and base.__module__.startswith("sklearn.") for base in type(model).__mro__):
        advice = ""
        if hasattr(model, "steps"):
            advice = "; of a pipeline give the MLP itself (pipeline[-1]) and the domain in its scaled coordinates"
        elif hasattr(model, "best_estimator_"):
            advice = "; of a search give its best_estimator_"
        raise UnsupportedLayerError(f"model: got a scikit-learn {name}; expected MLPClassifier or MLPRegressor{advice}")
    if not hasattr(model, "coefs_"):
        raise InputError(f"model: this {name} is not fitted; call model.fit(X, y) first")
    if model.activation not in ("relu", "identity"):
        raise NotPiecewiseLinearError(
            f"model: {name} with activation={model.activation!r} is not piecewise linear; "
            "expected activation='relu' (or 'identity'): fit it again with that"
        )
    layers = []
    last = len(model.coefs_) - 1
    for k, (coefs, intercepts) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        weight = real_array(np.asarray(coefs).T, f"coefs_[{k}]")
        rectified = model.activation == "relu" and k < last
        layers.append(Layer(weight, real_array(intercepts, f"intercepts_[{k}]"), len(weight) if rectified else 0))
    return Network.from_layers(layers)
