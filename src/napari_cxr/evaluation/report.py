"""The report: one HTML page that needs no other file, made from an `EvaluationResult`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from napari_cxr.evaluation.evaluation_events import EvaluationResult
from napari_cxr.evaluation.heatmap_distributions import MEASURES
from napari_cxr.evaluation.heatmap_gallery import GalleryGroup
from napari_cxr.evaluation.metric_text import LOWER_IS_BETTER, METRIC_NAMES, figure_text
from napari_cxr.evaluation.performance import CLASS_METRICS
from napari_cxr.evaluation.split_baselines import LEFT_OUT
from napari_cxr.evaluation.svg_figures import Curve, bar_figure, interval_figure, line_figure

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ['REPORT_FILE', 'images_text', 'near_tie_text', 'report_page']

REPORT_FILE = 'report.html'

_BY_METRICS = ('auc', 'balanced_accuracy', 'accuracy', 'recall', 'specificity')


def report_page(
    result: EvaluationResult, gallery: Mapping[str, Sequence[GalleryGroup]] | None = None
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    result : EvaluationResult
        What to show.
    gallery : mapping of str to sequence of GalleryGroup, optional
        By model, pictures of some images with their heatmaps.
    """
    content = result.metrics
    models, baselines = content['models'], content['baselines']
    return _template().render(
        models=list(models),
        set=content['set'],
        made=content['made'],
        labels=content['labels'],
        cautions=content['cautions'],
        overview=[
            {
                'name': title + ' (lower is better)' * (name in LOWER_IS_BETTER),
                'cells': [figure_text(own.get(name)) for own in models.values()],
            }
            for name, title in METRIC_NAMES.items()
        ],
        baselines=[_baseline(name, own, list(models)) for name, own in baselines.items()],
        left_out=any(name.endswith(LEFT_OUT) for name in baselines),
        baselines_fitted_on=content['baselines_fitted_on'],
        comparisons=[
            (
                ' − '.join(one['models']),
                figure_text(one['auc'], signed=True),
                _p_text(one['delong']['p']),
                figure_text(one['balanced_accuracy'], signed=True),
                figure_text(one['brier'], signed=True),
            )
            for one in content['comparisons']
            if 'auc' in one
        ],
        spreads=[_spread(name, spread) for name, spread in content['sources'].items()],
        parts=[
            {**_model(name, model, content), 'gallery': (gallery or {}).get(name, ())}
            for name, model in models.items()
        ],
        looks_said=_looks(content['looks']),
        images_text=images_text(content['set']),
        provenance=list(_provenance(content)),
    )


#: What people call the baselines.
_BASELINES = {
    'source only': 'only which source an image comes from',
    'view only': 'only its view (AP or PA)',
    'format only': 'its size and the brightness of its border',
    'format and grey levels': 'also its grey levels',
    f'format only{LEFT_OUT}': 'its size and border, other sources only',
    f'format and grey levels{LEFT_OUT}': 'also its grey levels, other sources only',
}


def _baseline(name: str, own: Mapping[str, Any], models: Sequence[str]) -> list[str]:
    cells = [
        _BASELINES.get(name, name),
        figure_text(own.get('auc')),
        figure_text(own.get('balanced_accuracy')),
    ]
    for model in models:
        apart = own['differences'].get(model, {})
        cells += [
            figure_text(apart.get('auc'), signed=True),
            _p_text(apart.get('delong', {}).get('p')),
        ]
    return cells


def _looks(looks: Mapping[str, Any]) -> list[str]:
    said = [looks['said']]
    nested = looks['optimism']['nested']
    if nested:
        said.append(
            f'Between the models of this report, the best one is expected to look {nested:.3f} '
            'better (AUC) on these images than on others: patients were drawn anew, the best '
            'model was chosen by those that were drawn, and judged by those that were not.'
        )
    said.append(f'The ledger of all looks lies {looks["ledger"]}.')
    return said


@cache
def _template() -> Template:
    from jinja2 import Environment
    from markupsafe import Markup

    text = resources.files('napari_cxr.evaluation').joinpath('report.html.jinja')
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals['Markup'] = Markup
    return environment.from_string(text.read_text(encoding='utf-8'))


def images_text(about: Mapping[str, Any]) -> str:
    """Return how many images and patients there are; `about` is the `set` of ``metrics.json``.

    Where every image has a patient of its own, nobody may have said whose it is.
    """
    images, patients = about['images'], about['patients']
    if images == patients:
        return f'{images:,} images, each counted as another patient'
    return f'{images:,} images of {patients:,} patients'


def _p_text(p: float | None) -> str:
    if p is None:
        return '–'
    return '< 0.001' if p < 0.001 else f'{p:.3f}'


def _spread(name: str, spread: Mapping[str, Any]) -> dict[str, Any]:
    from markupsafe import Markup

    rows = [(source, area['value'], _ends(area)) for source, area in spread['areas'].items()]
    if rows and spread['new_source']['interval'] is not None:
        rows.append(('a new source', spread['new_source']['value'], _ends(spread['new_source'])))
    drawn = interval_figure('AUC by source', rows, least=_least(rows)) if rows else ''
    return {'name': name, 'said': spread['said'], 'figure': Markup(drawn)}


def _least(rows: Sequence[tuple[str, float, tuple[float, float] | None]]) -> float:
    ends = [low for _, value, ends in rows for low in ([ends[0]] if ends else [value])]
    return 0.5 if min(ends) >= 0.5 else 0.0


def _ends(figure: Mapping[str, Any]) -> tuple[float, float] | None:
    ends = figure['interval']
    return None if ends is None else (ends[0], ends[1])


def _model(name: str, model: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    labels = content['labels']
    return {
        'name': name,
        'title': model['title'],
        'class_metrics': [METRIC_NAMES[metric] for metric in CLASS_METRICS],
        'classes': [
            (label, f'{own["images"]:,}', *(figure_text(own[metric]) for metric in CLASS_METRICS))
            for label, own in model.get('classes', {}).items()
        ],
        'confusion': _confusion(labels, model.get('confusion', ())),
        'curves': [
            {
                'name': label,
                'figures': _figures(label, curves),
                'means': ', '.join(
                    f'{name} {figure_text(own["mean"])}'
                    for name, own in curves['by_class'].items()
                ),
            }
            for label, curves in model.get('curves', {}).items()
        ],
        **_points(
            model.get('operating_points', {}),
            content['settings']['prevalence'],
            model.get('validation_seen', 0),
        ),
        'near_ties': near_tie_text(model, content['set']['images']),
        'heatmaps': _heatmaps(model.get('heatmaps')),
        'by': [
            {
                'name': column,
                'metrics': [METRIC_NAMES[metric] for metric in _BY_METRICS],
                'rows': [
                    (
                        group,
                        f'{own["images"]:,}',
                        *(f'{own["counts"][label]:,}' for label in labels),
                        *(figure_text(own.get(metric)) for metric in _BY_METRICS),
                    )
                    for group, own in groups.items()
                ],
            }
            for column, groups in model.get('by', {}).items()
        ],
    }


def near_tie_text(model: Mapping[str, Any], images: int) -> str:
    """Return how images count for which no class stands out; empty where there is no such rule.

    Parameters
    ----------
    model : mapping
        As in ``metrics.json``.
    images : int
        All that were measured.
    """
    if 'near_ties' not in model:
        return ''
    return (
        f'Predicted is the most probable class, also for the {model["near_ties"]:,} of {images:,} '
        'images for which no class stands out: the two most probable ones are less than '
        f'{100 * model["margin"]:.3g} percentage points apart, and Classify and Score name none.'
    )


def _heatmaps(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is said of where heatmaps lie; empty where nothing is known."""
    from markupsafe import Markup

    if not found:
        return {}
    return {
        'images': f'{found["images"]:,}',
        'peak_in_lung': figure_text(found['peak_in_lung']),
        'rows': [
            (
                MEASURES[name],
                figure_text(own['mean']),
                f'{own["uniform"]:.3f}',
                figure_text(own['lift']),
            )
            for name, own in found['measures'].items()
        ],
        'figures': [
            Markup(bar_figure(MEASURES[name], 'fraction', {'images': own['counts']}))
            for name, own in found['measures'].items()
        ],
    }


def _confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    rows = []
    for label, counts in zip(labels, matrix, strict=False):
        total = sum(counts)
        cells = [
            {
                'count': f'{count:,}',
                'share': f'{count / total:.0%}' if total else '',
                'shade': round(0.55 * count / total, 3) if total else 0,
            }
            for count in counts
        ]
        rows.append({'name': label, 'cells': cells})
    return rows


def _figures(label: str, curves: Mapping[str, Any]) -> list[Any]:
    from markupsafe import Markup

    def line(name: str, dots: bool = False) -> Curve:
        c = curves[name]
        if name == 'roc':  # it begins where nothing is called
            x, y, low, high = ([0, *c[key]] for key in ('x', 'y', 'low', 'high'))
            return Curve(label, x, y, low, high)
        return Curve(label, c['x'], c['y'], c['low'], c['high'], dots)

    drawn = [
        line_figure(
            f'ROC (AUC {curves["auc"]:.3f})',
            '1 − specificity',
            'recall (sensitivity)',
            [line('roc')],
            diagonal=True,
        ),
        line_figure('Precision and recall', 'recall', 'precision', [line('precision_recall')]),
        line_figure(
            'Reliability',
            f'probability of {label}',
            'fraction that has it',
            [line('reliability', dots=True)],
            diagonal=True,
        ),
        bar_figure(
            'Probability by true class',
            f'probability of {label}',
            {name: own['bars'] for name, own in curves['by_class'].items()},
        ),
    ]
    return [Markup(one) for one in drawn]


def _points(points: Mapping[str, Any], prevalence: float | None, seen: int) -> dict[str, Any]:
    said = {
        'validation': f'Chosen by {points.get("images", 0):,} validation images, and applied '
        'here unchanged.',
        'card': "From the model's card, and applied here unchanged; this set has no validation "
        'images.',
    }.get(points.get('chosen_on', ''), '')
    if seen and points.get('chosen_on') == 'validation':
        said += (
            f' The model was trained on {seen:,} of these validation images, so it may reach less '
            'here than what a threshold was chosen for.'
        )
    names = ['Class', 'Chosen for', 'Threshold', 'Recall (sensitivity)', 'Specificity']
    names += ['PPV here', 'NPV here']
    keys = ['recall', 'specificity', 'ppv', 'npv']
    if prevalence is not None:
        names += [f'PPV at a prevalence of {prevalence:.1%}', f'NPV at {prevalence:.1%}']
        keys += ['ppv_at_prevalence', 'npv_at_prevalence']
    rows = [
        (
            label,
            name,
            f'{own["threshold"]:.4g}',
            *(figure_text(own.get(key)) for key in keys),
        )
        for label, found in points.get('classes', {}).items()
        for name, own in found.items()
    ]
    return {'points': rows, 'points_said': said, 'point_names': names}


def _provenance(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    about = content['set']
    for name, model in content['models'].items():
        yield 'Model', f'{name}, SHA-256 {model["model_hash"]}…'
    yield 'Images', f'{about["images"]:,} of {about["name"]}, fingerprint {about["fingerprint"]}'
    if about['validation_images']:
        yield 'Validation images', f'{about["validation_images"]:,}'
    counts = ', '.join(f'{label}: {n:,}' for label, n in about['counts'].items())
    yield 'Images by class', counts
    yield (
        'Not measured',
        (
            f'{about["failed"]:,} not readable, {about["doubtful"]:,} doubtful'
            f'{" (counted all the same)" if about["doubtful_included"] else ""}, '
            f'{about["unmeasured"]:,} with labels that the model does not know'
        ),
    )
    yield (
        'Intervals',
        (
            f'95 %, {content["interval"]["resamples"]:,} resamples of patients, seed '
            f'{content["settings"]["seed"]}'
        ),
    )
    yield 'Made with', f'napari-cxr {content["version"]}, {content["made"]}'
