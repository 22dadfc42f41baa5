"""The opacity model as a file of the catalog: its weights, and its card."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from opacity_fitting import (
    Configuration,
    Tuned,
    between,
    head_weights,
    imagenet_stages,
    tune,
)
from opacity_material import VIEWS
from safetensors.torch import load_file, save_file
from scipy.special import expit
from torch import Tensor

from napari_cxr import __version__, lungs, networks
from napari_cxr.checkpoint import Card, save
from napari_cxr.metrics import BASELINES, FoldPredictions, average_over_folds, metric_differences
from napari_cxr.networks.pretrained_weights import PACKAGES

if TYPE_CHECKING:
    from opacity_model import Study

__all__ = ['LABEL', 'held_out_metrics', 'write_model']

LABEL = 'opacity'
_ARCHITECTURE = 'lite0_stride16_flip'
_PACKAGE = 'tf_efficientnet_lite0'

_INTENDED = (
    'Research and teaching: to mark frontal chest radiographs on which an airspace opacity '
    '(pneumonia, COVID-19, other consolidation) is likely, and to show where. Not for clinical '
    'use.'
)
_NOT_TO_BELIEVE = (
    'It learnt from children of one hospital and from 367 radiographs of another, so a threshold '
    'may not fit yours: measure it on radiographs of your own first. It is often unsure, and then '
    'says so. A lateral view, a photograph, or lungs that were not found make its answer void. '
    'An answer of no opacity does not mean a healthy chest: nodules, effusions, pneumothorax and '
    'a large heart are nothing that it knows. Do not read the edge of its heatmap: the outermost '
    'cells see what is padded around the image, and are often the brightest.'
)
_NOT_MEASURED = (
    'How well it tells the cause of an opacity: it does not try to.',
    'Adults of a third hospital with both answers: none was at hand.',
    'Children of another hospital than Kermany’s, whose own figures say little.',
    'Whether it helps a reader.',
)


def trained(study: Study, chosen: Configuration) -> dict[str, Tensor]:
    """Return the weights of the shipped network, learnt from all images."""
    kept = (
        study.out / f'trained {hashlib.sha256(str(chosen).encode()).hexdigest()[:12]}.safetensors'
    )
    if not kept.exists():
        places = np.arange(len(study.labelled.paths))
        state = {f'inner.{k}': v for k, v in imagenet_stages().state_dict().items()}
        head = chosen.head if isinstance(chosen, Tuned) else chosen
        start = head_weights(head, study.features, study.labelled, places)
        weight, bias = torch.from_numpy(start[0])[None].float(), torch.tensor([start[1]]).float()
        if isinstance(chosen, Tuned):
            _, first, last = tune(chosen, start, study.views, study.labelled, places)
            learnt = between(first, last, chosen.averaged)
            weight, bias = learnt.pop('linear.weight'), learnt.pop('linear.bias')
            state |= {name.replace('stages.', 'inner.', 1): v for name, v in learnt.items()}
        state |= {'weight': weight, 'bias': bias}
        save_file({name: value.contiguous() for name, value in state.items()}, kept)
    return load_file(kept)


def write_model(study: Study, chosen: Configuration, figures: dict[str, Any], path: Path) -> Path:
    """Write weights and card; return the file."""
    state = trained(study, chosen)
    weight, bias = state.pop('weight'), state.pop('bias')
    found = figures['decisions']
    size = (VIEWS['lungs 224'].height, VIEWS['lungs 224'].width)
    network = networks.create(_ARCHITECTURE, 1, 1, size)
    stages = {f'both_ways.{name}': value for name, value in state.items()}
    network.stages.load_state_dict(stages)
    with torch.no_grad():  # calibrated, so that a sigmoid of the logit is the probability
        network.head.linear.weight.copy_(weight * found['slope'])
        network.head.linear.bias.copy_(bias * found['slope'] + found['shift'])
    save(path, network.state_dict(), _card(study, chosen, figures), halve=True)
    return path


def _card(study: Study, chosen: Configuration, figures: dict[str, Any]) -> Card:
    labelled, found = study.labelled, figures['decisions']
    sources = sorted(set(labelled.sources.tolist()))
    return Card(
        name='cxr-opacity',
        title='Lung opacity on a frontal chest radiograph: likely or not',
        architecture=_ARCHITECTURE,
        labels=(LABEL,),
        channels=1,
        multilabel=True,
        negative='no opacity',
        decision='Youden',
        undecided={LABEL: found['band']},
        operating_points={LABEL: found['points']},
        preprocessing=VIEWS['lungs 224'].to_dict(),
        recipe={
            'command': 'python scripts/opacity_model.py --out FOLDER',
            'configuration': str(chosen),
            'page': 'docs/opacity-model.md',
        },
        data={
            'fingerprint': _fingerprint(study),
            'images': len(labelled.paths),
            'patients': len(set(labelled.groups)),
            'split': 'by patient',
            'counts': {
                source: {
                    name: {
                        'train': int((labelled.positive[labelled.sources == source] == v).sum())
                    }
                    for name, v in ((LABEL, True), ('no opacity', False))
                }
                for source in sources
            },
            'lung_field': lungs.lung_network_fingerprint(),
        },
        metrics={**held_out_metrics(study, figures['said']), 'note': _note(figures)},
        licence='CC BY 4.0',
        attribution=(
            'Kermany et al., Guangzhou paediatric chest radiographs (Cell 2018), CC BY 4.0',
            'NIH Clinical Center, ChestX-ray14 (Wang et al., CVPR 2017), free with attribution',
            'Labels: RSNA Pneumonia Detection Challenge (Shih et al., Radiology AI 2019)',
            'Labels: Majkowska et al., Radiology 2020;294:421 (Google, adjudicated)',
            PACKAGES[_PACKAGE].credit,
        ),
        intended_use=_INTENDED,
        not_to_believe=_NOT_TO_BELIEVE,
        not_measured=_NOT_MEASURED,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
    )


def _counts(study: Study, source: str) -> dict[str, dict[str, int]]:
    positive = study.labelled.positive[study.labelled.sources == source]
    return {
        LABEL: {'train': int(positive.sum())},
        'no opacity': {'train': int((~positive).sum())},
    }


def held_out_metrics(study: Study, said: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return areas on sources held out, each learnt from the other alone.

    Parameters
    ----------
    study : Study
        The images.
    said : dict
        By 'source to source' what the 'model' and each classifier of `BASELINES` say of the
        images in 'places'.
    """
    labelled = study.labelled
    truth, sources = labelled.positive[:, None], labelled.sources
    strata = labelled.strata
    parts = {}
    for name, own in said.items():
        others = {kind: np.array(own[kind])[:, None] for kind in BASELINES}
        places = np.array(own['places'])
        parts[name] = FoldPredictions(places, expit(np.array(own['model']))[:, None], others)

    def of(chosen: list[FoldPredictions]) -> dict[str, Any]:
        def figures(own: list[FoldPredictions]) -> dict[str, Any]:
            return _areas(average_over_folds(truth, own, (LABEL,), labelled.groups, strata))

        names = list(chosen[0].others)
        apart = metric_differences(truth, chosen, (LABEL,), labelled.groups, strata)
        return {
            'model': figures(chosen),
            'baselines': {
                kind: figures([part.of_classifier(kind) for part in chosen]) for kind in names
            },
            'differences': {k: {'macro_auc': apart[k]['macro_auc']} for k in names},
        }

    by_set: dict[str, list[FoldPredictions]] = {'all': list(parts.values())}
    by_set |= {str(sources[part.places[0]]): [part] for part in parts.values()}
    measured = {name: of(chosen) for name, chosen in by_set.items()}
    out: dict[str, Any] = {'model': {n: found['model'] for n, found in measured.items()}}
    for table in ('baselines', 'differences'):
        out[table] = {
            kind: {n: found[table][kind] for n, found in measured.items()} for kind in BASELINES
        }
    return {
        'measured_on': 'sources held out',
        'split': 'by source',
        'folds': len(parts),
        'averaged': True,
        'fitted_on': 'what further models, which know both sources, said of patients left out',
        **out,
    }


def _areas(found: dict[str, Any]) -> dict[str, Any]:
    """Keep the areas: a threshold of one source alone means nothing in the other."""
    classes = {k: {'images': v['images'], 'auc': v['auc']} for k, v in found['classes'].items()}
    return {
        **{k: found[k] for k in ('images', 'patients', 'folds', 'macro_auc')},
        'classes': classes,
    }


def _note(figures: dict[str, Any]) -> str:
    """Return what to read first: areas within projection, and what the threshold gives."""
    rows = figures['rows']
    value, low, high = rows['nih by patient']['model']['auc_within']
    parts = [f'NIH, by patients left out, {value:.2f} [{low:.2f}, {high:.2f}]']
    for name, title in (
        ('kermany to nih', 'NIH, learnt from Kermany alone,'),
        ('nih to kermany', 'Kermany, learnt from NIH alone,'),
    ):
        value, low, high = rows[name]['model']['auc_within']
        parts.append(f'{title} {value:.2f} [{low:.2f}, {high:.2f}]')
    at = figures['decisions']['sources']['nih']['at']['Youden']
    band = figures['decisions']['sources']['nih']['band']
    return (
        f'Areas under the curve among images of one projection: {"; ".join(parts)}. On NIH’s '
        f'patients left out, the threshold of this card finds {at["sensitivity"]:.0%} of the '
        f'opacities and clears {at["specificity"]:.0%} of the rest; an answer other than '
        f'"cannot say" is given to {band["answered"]:.0%}.'
    )


def _fingerprint(study: Study) -> str:
    lines = (
        f'{path} {int(positive)}'
        for path, positive in zip(study.labelled.paths, study.labelled.positive, strict=True)
    )
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()
