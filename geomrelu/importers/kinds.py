"""Which kinds of layers are not piecewise linear, and what is said of those that are not read."""

from __future__ import annotations

__all__ = ["ACTIVATIONS", "NOT_PIECEWISE_LINEAR", "PROBABILITIES", "READ", "normalised", "where_called"]

READ = "expected Linear and ReLU layers in one chain (with Flatten, Identity, and Dropout in eval mode)"

# Names of torch modules and functions, normalised.
_PROBABILITIES = "sigmoid softmax logsoftmax logsigmoid softmin softmax2d"
_ACTIVATIONS = "tanh gelu silu swish mish elu celu selu softplus softsign tanhshrink hardswish glu"
_OTHERS = """
    layernorm nativelayernorm groupnorm rmsnorm instancenorm instancenorm1d instancenorm2d instancenorm3d
    localresponsenorm normalize norm
    multiheadattention scaleddotproductattention transformer transformerencoder transformerencoderlayer
    transformerdecoder transformerdecoderlayer rnn lstm gru rnncell lstmcell grucell
    bilinear cosinesimilarity
    exp exp2 expm1 log log2 log10 log1p logsumexp sin cos tan asin acos atan arctan sinh cosh asinh acosh atanh
    pow square sqrt rsqrt reciprocal erf erfc prod cumprod
"""
PROBABILITIES = frozenset(_PROBABILITIES.split())
#: What ReLU can stand in for.
ACTIVATIONS = PROBABILITIES | frozenset(_ACTIVATIONS.split())
NOT_PIECEWISE_LINEAR = ACTIVATIONS | frozenset(_OTHERS.split())


def normalised(name: str) -> str:
    """A layer's or function's name without case and underscores.

    Examples
    --------
    >>> normalised("LogSoftmax"), normalised("log_softmax"), normalised("sigmoid_")
    ('logsoftmax', 'logsoftmax', 'sigmoid')
    """
    return name.replace("_", "").lower()


def where_called(path: str, owner: str, kind: str) -> str:
    """Where a function is called, for messages: path and class of the module whose forward does it.

    Examples
    --------
    >>> where_called("layers.3", "GELU", "gelu"), where_called("", "Net", "tanh")
    ('layers.3 (GELU)', 'model (Net), tanh in its forward')
    """
    where = f"{path or 'model'} ({owner})"
    return where if normalised(owner) == normalised(kind) else f"{where}, {kind} in its forward"
