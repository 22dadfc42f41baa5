"""Results as files: exporters by name, those of other installed packages included.

An exporter is a function ``(path, image, prediction, heatmaps)`` that writes one file. Other
packages add theirs through the entry-point group ``napari_cxr.exporters``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.entry_points import EXPORTERS, installed

if TYPE_CHECKING:
    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.inference.prediction import Prediction
    from napari_cxr.radiograph import Radiograph

__all__ = ['Exporter', 'export_result', 'exporter_names', 'prediction_entries']

#: Takes the file's path, the radiograph, the prediction, and heatmaps by label (perhaps none).
Exporter = Callable[[Path, 'Radiograph', 'Prediction', Mapping[str, 'Heatmap']], None]


def exporter_names() -> tuple[str, ...]:
    """Return the names of the exporters, those of other packages last."""
    return (*_EXPORTERS, *sorted(installed(EXPORTERS, _EXPORTERS)))


def export_result(
    path: Path,
    image: Radiograph,
    prediction: Prediction,
    heatmaps: Mapping[str, Heatmap],
    exporter: str = '',
) -> None:
    """Write a result with an exporter; see `napari_cxr.Result.export`."""
    name = exporter or path.suffix.lower().removeprefix('.')
    found = _EXPORTERS.get(name) or installed(EXPORTERS, _EXPORTERS).get(name)
    if found is None:
        raise ValueError(
            f'There is no exporter {name!r}; there is {", ".join(exporter_names())}. '
            'Name one of them, or choose a file name that ends with its name.'
        )
    found(path, image, prediction, heatmaps)


def prediction_entries(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as entries for JSON, without anything that identifies a patient."""
    from napari_cxr.inference.label_rule import answer_reason

    found = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    rule = prediction.rule
    decided = {
        'above': list(prediction.above),
        'reason': answer_reason(rule, prediction.probabilities),
        **rule.to_dict(),
    }
    return {
        'doubts': [{'code': c.code, 'text': c.text} for c in prediction.doubts],
        'model': prediction.model,
        'model_hash': prediction.model_hash,
        'label': prediction.label,
        'answer': prediction.answer,
        **{f'p_{label}': p for label, p in found.items()},
        'probabilities': found,
        **(decided if prediction.multilabel else {}),
        'warnings': [caution.text for caution in prediction.warnings],
        'device': prediction.device,
        'preprocessing': prediction.preprocessing,
        'lungs': prediction.lungs,
        'version': prediction.version,
    }


def _write_json(
    path: Path, image: Radiograph, prediction: Prediction, heatmaps: Mapping[str, Heatmap]
) -> None:
    """Write the prediction as ``napari-cxr classify --json`` prints it, without the path."""
    from napari_cxr.checkpoint.model_file import write_atomic

    text = json.dumps(prediction_entries(prediction), indent=2)
    write_atomic(path, text.encode() + b'\n')


def _write_png(
    path: Path, image: Radiograph, prediction: Prediction, heatmaps: Mapping[str, Heatmap]
) -> None:
    """Write the radiograph as a picture, with the heatmap of the leading label if there is one."""
    import numpy as np
    from PIL import Image

    from napari_cxr.checkpoint.model_file import write_atomic
    from napari_cxr.explain.heatmap import draw_heatmap, full_colour

    display = image.to_display()
    if heatmaps:
        shown = heatmaps.get(prediction.leading, next(iter(heatmaps.values())))
        pixels = draw_heatmap(display, shown, full_colour(list(heatmaps.values())))
    else:
        pixels = (np.clip(display, 0, 1) * 255).round().astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, 'PNG')
    write_atomic(path, packed.getvalue())


_EXPORTERS: dict[str, Exporter] = {'json': _write_json, 'png': _write_png}
