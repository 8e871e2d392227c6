"""
A model as arrays and words, and back: what a skops file and the cache hold.

Nothing in it could be run. Weights are kept as small whole numbers with a scale for each label:
a quarter of the size, and no answer changes.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from router.classify import Floats, HeldOut, Linear, Model, Near

FORMAT = 4
"""Whoever changes what a model is, or how it is kept, counts on here."""

Parts = dict[str, NDArray[Any]]

_BASE = "base."
_WHOLE = 255
_WORD_LISTS = ("labels", "words", "pieces")


def parts_of(model: Model) -> Parts:
    """The model as named arrays; its base model's names begin with `base.`."""
    about = {
        "format": FORMAT,
        "version": model.version,
        "source": model.source,
        "shares": model.shares,
        "strange": model.strange,
        "strangeness": model.strangeness,
        "base_trust": model.base_trust,
        "caution": model.caution,
        "examples": model.examples,
        "figures": dict(model.figures),
    }
    parts: Parts = {
        "about": _bytes(json.dumps(about)),
        "idf": model.idf,
        "prior": model.prior,
        "lines.bias": model.lines.bias,
        "odds.bias": model.odds.bias,
        "held.truth": model.held_out.truth,
        "held.probabilities": model.held_out.probabilities.astype(np.float16),
        "held.weight": model.held_out.weight,
    }
    for name in _WORD_LISTS:
        parts[name] = _bytes("\n".join(getattr(model, name)))
    for name, linear in (("lines", model.lines), ("odds", model.odds)):
        parts[f"{name}.weights"], parts[f"{name}.scale"] = _small(linear.weights)
    if model.base is not None and model.base_weights is not None:
        parts["base_weights"] = model.base_weights
        parts["often"] = _often(model)
        parts |= {_BASE + name: part for name, part in parts_of(model.base).items()}
    if model.near is not None:
        rows = model.near.rows
        parts |= {
            "near.truth": model.near.truth,
            "near.weight": model.near.weight,
            "near.of_base": model.near.of_base.astype(np.float16),
            "near.places": rows.indices.astype(np.uint16 if rows.shape[1] < 2**16 else np.int32),
            "near.ends": rows.indptr,
            "near.values": np.rint(rows.data * _WHOLE).astype(np.uint8),
        }
    return parts


def model_from(parts: Mapping[str, NDArray[Any]]) -> Model:
    """The model that these arrays are; raises ValueError for arrays that are none."""
    try:
        model = _model_from(parts)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"is no model: {type(error).__name__} {error}") from error
    _check(model)
    return model


def _model_from(parts: Mapping[str, NDArray[Any]]) -> Model:
    about = json.loads(_text(parts["about"]))
    if about["format"] != FORMAT:
        raise ValueError(f"has format {about['format']}, and this Buckstop reads {FORMAT}")
    base = {name[len(_BASE) :]: part for name, part in parts.items() if name.startswith(_BASE)}
    kept = {name: tuple(_text(parts[name]).split("\n")) for name in _WORD_LISTS}
    lines, odds = (
        Linear(
            weights=_large(parts[f"{name}.weights"], parts[f"{name}.scale"]),
            bias=_floats(parts[f"{name}.bias"]),
            margins=name == "lines",
        )
        for name in ("lines", "odds")
    )
    model = Model(
        version=str(about["version"]),
        source=str(about["source"]),
        labels=kept["labels"],
        words=kept["words"],
        pieces=kept["pieces"],
        idf=_floats(parts["idf"]),
        lines=lines,
        odds=odds,
        prior=_floats(parts["prior"]),
        shares=tuple(float(share) for share in about["shares"]),
        strange=tuple(str(label) for label in about["strange"]),
        strangeness=float(about["strangeness"]),
        base_trust=float(about["base_trust"]),
        caution=float(about["caution"]),
        held_out=HeldOut(
            truth=parts["held.truth"].astype(np.int16),
            probabilities=_floats(parts["held.probabilities"]),
            weight=_floats(parts["held.weight"]),
        ),
        examples=int(about["examples"]),
        figures={str(name): float(figure) for name, figure in about["figures"].items()},
        near=_near(parts, len(kept["words"]) + len(kept["pieces"])),
    )
    if base:
        model = replace(
            model,
            base=model_from(base),
            base_weights=_floats(parts["base_weights"]),
            often=_floats(parts["often"]),
        )
    return model


def _check(model: Model) -> None:
    """That the parts fit together: else the first complaint would find out."""
    labels, features = len(model.labels), len(model.words) + len(model.pieces)
    held = len(model.held_out.truth)
    expected = {
        "idf": (model.idf, (features,)),
        "prior": (model.prior, (labels,)),
        "lines": (model.lines.weights, (features, labels)),
        "lines' bias": (model.lines.bias, (labels,)),
        "odds": (model.odds.weights, (features, labels)),
        "odds' bias": (model.odds.bias, (labels,)),
        "probabilities held out": (model.held_out.probabilities, (held, labels)),
        "weight held out": (model.held_out.weight, (held,)),
    }
    if model.base is not None and model.base_weights is not None:
        expected["how often labels come"] = (_often(model), (labels,))
        expected["base weights"] = (model.base_weights, (len(model.base.labels), 2 * labels))
    if model.near is not None:
        near = len(model.near.truth)
        opinions = len(model.base.labels) if model.base else 0
        expected["opinions of complaints"] = (model.near.of_base, (near, opinions))
        expected["weight of complaints"] = (model.near.weight, (near,))
        expected["words of complaints"] = (model.near.rows.data, (model.near.rows.nnz,))
    voices = 2 + (model.base is not None) + (model.near is not None)
    if len(model.shares) != voices:
        raise ValueError(f"is no model: {len(model.shares)} shares where {voices} are due")
    for name, (part, shape) in expected.items():
        if part.shape != shape:
            raise ValueError(f"is no model: {name} is {part.shape} where {shape} is due")
        if not np.isfinite(part).all():
            raise ValueError(f"is no model: {name} holds what is no number")
    told = model.near.truth if model.near is not None else np.zeros(1, np.int16)
    if len(told) == 0 or not 0 <= told.min() <= told.max() < labels:
        raise ValueError("is no model: its complaints have a type that it does not know")
    if held and not 0 <= model.held_out.truth.min() <= model.held_out.truth.max() < labels:
        raise ValueError("is no model: what was held out has a type that it does not know")


def _often(model: Model) -> Floats:
    return np.ones(len(model.labels), dtype=np.float32) if model.often is None else model.often


def _near(parts: Mapping[str, NDArray[Any]], features: int) -> Near | None:
    if "near.truth" not in parts:
        return None
    truth = parts["near.truth"].astype(np.int16)
    rows = sparse.csr_matrix(
        (
            parts["near.values"].astype(np.float32) / _WHOLE,
            parts["near.places"].astype(np.int32),
            parts["near.ends"].astype(np.int32),
        ),
        shape=(len(truth), features),
    )
    return Near(
        rows=rows,
        of_base=_floats(parts["near.of_base"]),
        truth=truth,
        weight=_floats(parts["near.weight"]),
    )


def packed(model: Model) -> bytes:
    """A model as the bytes of the cache."""
    file = io.BytesIO()
    np.savez(file, **parts_of(model))  # type: ignore[arg-type]  # numpy's stub takes no mapping
    return file.getvalue()


def unpacked(kept: bytes) -> Model:
    """The model that was packed; raises ValueError for anything else."""
    try:
        with np.load(io.BytesIO(kept), allow_pickle=False) as parts:
            return model_from({name: parts[name] for name in parts.files})
    except (zipfile.BadZipFile, EOFError, OSError, AttributeError) as error:
        raise ValueError(f"is no model: {error}") from error


def from_skops(kept: bytes) -> Model:
    """
    The model in a skops file; raises ValueError for a file that holds anything but our arrays.

    skops itself takes seconds to load, scikit-learn with it, and can read far more than arrays;
    a service wants neither at its start.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(kept)) as file:
            schema = json.loads(file.read("schema.json"))
            parts = {name: _array(file, about) for name, about in schema["content"].items()}
    except (zipfile.BadZipFile, EOFError, OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is no model: {type(error).__name__} {error}") from error
    return model_from(parts)


def _array(file: zipfile.ZipFile, about: Mapping[str, Any]) -> NDArray[Any]:
    if (about["__module__"], about["__class__"]) != ("numpy", "ndarray"):
        raise ValueError(f"is no model: it holds a {about['__module__']}.{about['__class__']}")
    read: NDArray[Any] = np.load(io.BytesIO(file.read(about["file"])), allow_pickle=False)
    return read


def _small(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    scale = np.maximum(np.abs(weights).max(axis=0, initial=0), 1e-9) / 127
    return np.rint(weights / scale).astype(np.int8), scale.astype(np.float32)


def _large(weights: NDArray[Any], scale: NDArray[Any]) -> Floats:
    return weights.astype(np.float32) * scale.astype(np.float32)


def _floats(part: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(part, dtype=np.float32)


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _text(part: NDArray[Any]) -> str:
    return part.tobytes().decode()
