"""Which kinds of layers are not piecewise linear, and what is said of those that are not read."""

from __future__ import annotations

from geomrelu.errors import NotPiecewiseLinearError, UnsupportedLayerError

__all__ = ["READ", "aten_kind", "normalised", "refusal", "where_called"]

READ = (
    "expected affine layers (Linear, Conv, BatchNorm in eval mode, AvgPool, ...) "
    "and piecewise-linear ones (ReLU, LeakyReLU, Hardtanh, MaxPool, ...)"
)

# Names of torch modules and functions, normalised.
_PROBABILITIES = "sigmoid softmax logsoftmax logsigmoid softmin softmax2d"
_ACTIVATIONS = "tanh gelu silu swish mish elu celu selu softplus softsign tanhshrink hardswish glu"
_OTHERS = """
    layernorm nativelayernorm groupnorm rmsnorm instancenorm instancenorm1d instancenorm2d instancenorm3d
    localresponsenorm normalize norm
    multiheadattention scaleddotproductattention transformer transformerencoder transformerencoderlayer
    transformerdecoder transformerdecoderlayer rnn lstm gru rnncell lstmcell grucell
    bilinear cosinesimilarity cdist
    exp exp2 expm1 log log2 log10 log1p logsumexp sin cos tan asin acos atan arctan sinh cosh asinh acosh atanh
    std var stdmean varmean pow square sqrt rsqrt reciprocal erf erfc prod cumprod
"""
_DISCONTINUOUS = """
    hardshrink sign sgn signbit heaviside round floor ceil trunc fix frac fmod remainder floordivide argmax argmin
    argsort where maskedfill gt ge lt le eq ne greater less greaterequal lessequal notequal greaterorequal lessorequal
    equal isclose bernoulli logicalnot logicaland logicalor logicalxor not and or xor isnan isinf onehot embedding
"""
PROBABILITIES = frozenset(_PROBABILITIES.split())
#: What ReLU can stand in for.
ACTIVATIONS = PROBABILITIES | frozenset(_ACTIVATIONS.split())
NOT_PIECEWISE_LINEAR = ACTIVATIONS | frozenset(_OTHERS.split())
DISCONTINUOUS = frozenset(_DISCONTINUOUS.split())
# What works and comes nearest, where that is not ReLU.
_NEAREST = {
    **dict.fromkeys(("sigmoid", "logsigmoid"), "Hardsigmoid"),
    **dict.fromkeys(("tanh", "softsign"), "Hardtanh"),
    **dict.fromkeys(("hardswish", "silu", "swish", "gelu", "mish", "softplus"), "ReLU"),
    **dict.fromkeys(("elu", "celu", "selu"), "LeakyReLU"),
    **dict.fromkeys(("tanhshrink", "hardshrink"), "Softshrink"),
    **dict.fromkeys(
        ("layernorm", "nativelayernorm", "groupnorm", "rmsnorm", "localresponsenorm"), "BatchNorm in eval mode"),
    **dict.fromkeys(("instancenorm", "instancenorm1d", "instancenorm2d", "instancenorm3d"),
                    "BatchNorm, or this layer with track_running_stats=True, in eval mode"),
    **dict.fromkeys(("where", "maskedfill", "gt", "ge", "lt", "le", "greater", "less", "greaterequal", "lessequal",
                     "greaterorequal", "lessorequal"), "torch.maximum, torch.minimum or clamp"),
    **dict.fromkeys(("argmax", "argmin"), "the model up to there, whose outputs are the scores"),
    **dict.fromkeys(("median", "topk", "sort"), "max along an axis (amax)"),
    **dict.fromkeys(("einsum", "bmm", "tensordot"), "a product with a fixed matrix (matmul)"),
}  # fmt: skip


def refusal(kind: str, where: str) -> NotPiecewiseLinearError | UnsupportedLayerError:
    """The error for a kind of layer that is not read.

    Examples
    --------
    >>> str(refusal("gelu", "layers.3 (GELU)")).split(";")[:2]
    ['layers.3 (GELU): not piecewise linear, so it has no linear regions', ' nearest that works: ReLU']
    """
    name = normalised(kind)
    nearest = _NEAREST.get(name, "ReLU" if name in ACTIVATIONS else "")
    close = f"nearest that works: {nearest}" if nearest else "train a model without it"
    if name in DISCONTINUOUS:
        return NotPiecewiseLinearError(
            f"{where}: {kind} jumps, or picks by comparing values, so it is no continuous function; {close}; {READ}"
        )
    if name in NOT_PIECEWISE_LINEAR:
        if name in PROBABILITIES:
            close = f"if it only turns the outputs into probabilities, leave it off; else {close}"
        return NotPiecewiseLinearError(f"{where}: not piecewise linear, so it has no linear regions; {close}; {READ}")
    close = close if nearest else "rewrite the model without it"
    return UnsupportedLayerError(f"{where}: cannot be read by this version; {close}; {READ}")


def aten_kind(name: str) -> str:
    """The kind of an operator of torch's ``aten`` library, some of which take other arguments than the function does.

    Examples
    --------
    >>> aten_kind("batch_norm"), aten_kind("conv2d")
    ('aten_batch_norm', 'conv2d')
    """
    other = name in ("batch_norm", "instance_norm") or name.startswith("adaptive_max_pool")
    return f"aten_{name}" if other else name


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
