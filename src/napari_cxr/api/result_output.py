"""How a result is shown in a notebook, and written to a file by an exporter."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr.entry_points import EXPORTERS, installed
from napari_cxr.radiograph import Radiograph

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card
    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.explain.heatmap_location import HeatmapLocation
    from napari_cxr.inference.prediction import Prediction

__all__ = [
    'Exporter',
    'card_page',
    'export_result',
    'exporter_names',
    'location_entries',
    'prediction_entries',
    'result_page',
]

#: Height of a picture on the page, in pixels.
_HEIGHT = 320

_BAR = (
    '<tr><td style="text-align:left">{label}</td>'
    '<td style="text-align:left;min-width:160px"><div style="background:{colour};height:10px;'
    'width:{width:.0f}px;display:inline-block"></div></td>'
    '<td style="text-align:right">{p:.1%}</td></tr>'
)

#: A label that is predicted, and one that is not: apart in lightness too, on either theme.
_PREDICTED, _OTHER = '#d1642b', '#8a9099'


def result_page(
    prediction: Prediction,
    image: Radiograph,
    heatmaps: Mapping[str, Heatmap] | None = None,
    locations: Mapping[str, HeatmapLocation | None] | None = None,
) -> str:
    """Return a prediction as HTML: warnings, answer, bars, the image, and a heatmap over it.

    Parameters
    ----------
    prediction : Prediction
        What the model says.
    image : Radiograph
        What was classified; a single frame.
    heatmaps : mapping of str to Heatmap, optional
        By label; that of the leading label is drawn, or else the first.
    locations : mapping of str to HeatmapLocation or None, optional
        Where each lies by the lungs.

    Returns
    -------
    str
        HTML with the pictures inside. It holds no path and nothing of the header.
    """
    doubts = ''.join(
        f'<div style="color:#c0392b"><b>{escape(one.text)}</b></div>' for one in prediction.doubts
    )
    others = ''.join(
        f'<li>{escape(one.text)}</li>'
        for one in prediction.warnings
        if one not in prediction.doubts
    )
    predicted: tuple[str, ...] = prediction.above or (prediction.label,)
    if prediction.rule.near_tie(prediction.probabilities):
        predicted = ()
    bars = ''.join(
        _BAR.format(
            label=escape(label),
            colour=_PREDICTED if label in predicted else _OTHER,
            width=160 * p,
            p=p,
        )
        for label, p in zip(prediction.labels, prediction.probabilities, strict=True)
    )
    pictures, caption = _picture(image), ''
    if heatmaps:
        shown = heatmaps.get(prediction.leading, next(iter(heatmaps.values())))
        pictures += _picture(image, shown)
        caption = f'<div>{escape(shown.method)}: evidence for {escape(shown.label)}</div>'
        location = (locations or {}).get(shown.label)
        if location is not None:
            warn = '' if location.in_lungs else ' style="color:#c0392b"'
            caption += f'<div{warn}>Its peak lies {location.place}.</div>'
    return (
        f'<div>{doubts}<div><b>{escape(prediction.answer)}</b> '
        f'<small>{escape(prediction.model)}. For research only, not for clinical use.</small>'
        f'</div><table>{bars}</table>{pictures}{caption}'
        f'{f"<ul>{others}</ul>" if others else ""}</div>'
    )


def card_page(card: Card) -> str:
    """Return what a model is, in a few lines of HTML; `card_markdown` returns its whole card."""
    from napari_cxr.checkpoint.card_page import headline

    told = headline(card)
    warning = f'<div style="color:#c0392b"><b>{escape(told)}</b></div>' if told else ''
    if not card.demonstration:
        warning = f'<div>{escape(told)}</div>' if told else ''
    return (
        f'<div><b>{escape(card.name)}</b>: {escape(card.title)}{warning}'
        f'<div>Labels: {escape(", ".join(card.labels))}</div>'
        f'<div>{escape(card.intended_use)}</div></div>'
    )


def _picture(image: Radiograph, heatmap: Heatmap | None = None) -> str:
    """Return an image element with the picture inside."""
    from PIL import Image

    from napari_cxr.explain.heatmap import draw_heatmap

    display = image.to_display()
    if heatmap is None:
        pixels = (np.clip(display, 0, 1) * 255).round().astype(np.uint8)
    else:
        pixels = draw_heatmap(display, heatmap, float(heatmap.values.max()))
    picture = Image.fromarray(pixels)
    picture.thumbnail((2 * _HEIGHT, 2 * _HEIGHT))  # sharp on a screen with small pixels
    packed = io.BytesIO()
    picture.save(packed, 'PNG')
    source = base64.b64encode(packed.getvalue()).decode('ascii')
    return (
        f'<img style="height:{_HEIGHT}px;display:inline-block;margin-right:8px" '
        f'src="data:image/png;base64,{source}"/>'
    )


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


def location_entries(location: HeatmapLocation | None) -> dict[str, Any]:
    """Return where a heatmap lies as entries for JSON; None each for one without a peak."""
    if location is None:
        values: tuple[Any, ...] = (None,) * 3
    else:
        fraction = location.half_peak_lung_fraction
        values = (location.in_lungs, location.region, fraction)
    names = ('heatmap_peak_in_lung', 'heatmap_peak_region', 'heatmap_half_peak_lung_fraction')
    return dict(zip(names, values, strict=True))


def prediction_entries(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as entries for JSON, without anything that identifies a patient."""
    from napari_cxr.inference.label_rule import answer_reason

    found = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    rule = prediction.rule
    decided = {
        **({'above': list(prediction.above)} if prediction.multilabel else {}),
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
        **decided,
        **_possible(prediction),
        'warnings': [caution.text for caution in prediction.warnings],
        'device': prediction.device,
        'decoded': prediction.decoded,
        'correction': str(prediction.correction),
        'preprocessing': prediction.preprocessing,
        'lungs': prediction.lungs,
        'version': prediction.version,
    }


def _possible(prediction: Prediction) -> dict[str, Any]:
    """Return the classes that cannot be excluded, where the model says which."""
    if not prediction.prediction_sets:
        return {}
    return {
        'possible': list(prediction.possible),
        'possible_alpha': prediction.prediction_sets['alpha'],
        'possible_reason': prediction.possible_text,
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
