"""Find out what a model takes and gives from its own metadata, where the protocol has any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from threatmatrix.emulate.targets.form import ModelForm, OutputNames
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.emulate.targets.specs import TargetSpec, connect
from threatmatrix.model.errors import TargetError, UsageError
from threatmatrix.model.system import Scope

__all__ = ["read_form"]

_SCORES = ("scores", "probabilities", "predict_proba", "probability")
_LABEL = ("label", "predict", "prediction", "class")
_BLANK = ModelForm(input_shape=(), classes=1)


def read_form(
    spec: TargetSpec,
    scope: Scope,
    technique: str,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    class_names: tuple[str, ...] = (),
    **conduct: Unpack[Conduct],
) -> ModelForm:
    """Ask an Open Inference Protocol or TensorFlow server for its metadata: two or three queries.

    Raises UsageError for other protocols and where the metadata leave it open, TargetError where they are none.
    """
    if spec.kind not in ("oip", "tf"):
        raise UsageError(f"{spec}: this protocol does not tell what a model takes", hint="Say it yourself")
    with connect(spec, scope, technique, form=_BLANK, **conduct) as client:
        found = client.read_metadata()
    try:
        inputs, outputs, names = _oip(spec, found) if spec.kind == "oip" else _tf(found)
        return _form(spec, inputs, outputs, class_names or names, bounds)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as e:
        raise TargetError(f"{spec}: its metadata cannot be read: {e!r}") from e


_Tensors = list[tuple[str, str, tuple[int, ...]]]  # name, datatype as OIP calls it, shape without the batch


def _oip(spec: TargetSpec, found: Mapping[str, Any]) -> tuple[_Tensors, _Tensors, tuple[str, ...]]:
    (card,) = (card for path, card in found.items() if path.count("/") == 3 and path.startswith("/v2/models/"))
    names = (card.get("parameters") or {}).get("class_names") or ()
    return _tensors(card["inputs"]), _tensors(card["outputs"]), tuple(str(name) for name in names)


def _tensors(entries: Any) -> _Tensors:
    return [(str(e["name"]), str(e["datatype"]), tuple(int(n) for n in e["shape"])[1:]) for e in entries]


def _tf(found: Mapping[str, Any]) -> tuple[_Tensors, _Tensors, tuple[str, ...]]:
    (card,) = (card for path, card in found.items() if path.endswith("/metadata"))
    signature = card["metadata"]["signature_def"]["signature_def"]["serving_default"]
    return _signature(signature["inputs"]), _signature(signature["outputs"]), ()


def _signature(tensors: Mapping[str, Any]) -> _Tensors:
    kinds = {"DT_STRING": "BYTES", "DT_FLOAT": "FP32", "DT_DOUBLE": "FP64", "DT_HALF": "FP16"}
    found: _Tensors = []
    for name, tensor in tensors.items():
        shape = tuple(int(dim["size"]) for dim in tensor["tensor_shape"].get("dim", ()))[1:]
        found.append((name, kinds.get(tensor["dtype"], "INT64"), shape))
    return found


def _form(
    spec: TargetSpec, inputs: _Tensors, outputs: _Tensors, names: tuple[str, ...], bounds: tuple[float, float]
) -> ModelForm:
    if len(inputs) != 1:
        raise UsageError(f"{spec} takes {len(inputs)} inputs", hint="Describe it with --target template:FILE.yaml")
    name, _, shape = inputs[0]
    if any(size < 1 for size in shape):
        raise UsageError(f"{spec}: its input's shape {list(shape)} is open", hint="Say how many numbers a row has")
    scores = _pick(outputs, _SCORES, lambda kind, rest: kind.startswith("FP") and len(rest) == 1)
    label = _pick(outputs, _LABEL, lambda kind, rest: kind.startswith(("INT", "UINT", "BYTES")) and rest in ((), (1,)))
    text = next((output for output in outputs if output[0] == "text"), None)
    if label is not None and text == label:
        label = None
    classes = len(names) or (scores[2][0] if scores and scores[2] else 0) or (1 if text and not label else 0)
    if classes < 1:
        raise UsageError(f"{spec}: its metadata do not tell how many classes there are", hint="Say it yourself")
    return ModelForm(
        input_shape=shape,
        classes=classes,
        class_names=names,
        bounds=bounds,
        gives_text=text is not None,
        input_name=name,
        outputs=OutputNames(label[0] if label else "", scores[0] if scores else "", text[0] if text else ""),
    )


def _pick(outputs: _Tensors, names: tuple[str, ...], fits: Any) -> tuple[str, str, tuple[int, ...]] | None:
    """The output of a usual name, or else the first that fits."""
    named = [output for name in names for output in outputs if output[0] == name]
    return next((output for output in [*named, *outputs] if fits(output[1], output[2])), None)
