"""Fit and measure the card of the opacity model anew; its weights stay byte for byte.

    NAPARI_CXR_DATA=... python scripts/opacity_refit.py --out runs/opacity [--write]
    NAPARI_CXR_DATA=... python scripts/opacity_refit.py --prevalence --write

`scripts/opacity_model.py` chooses and trains for hours. This repeats only what the card rests on,
with the configurations that were chosen there: in five folds what models of the same making say of
patients left out, and what a model of each source says of the other. It can be stopped at any
time; the same command goes on with what lies in the folder. With --prevalence only that is worked
out for which the probabilities hold, which needs no image: that of the weighted images of the fit.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from opacity_card import LABEL, held_out_metrics
from opacity_fitting import LITE, SHIPPED_TAP, SHIPPED_VIEW, TUNED, Configuration, Head, fit
from opacity_material import Labelled, label_images
from opacity_model import JUDGING, Study, decisions, platt
from scipy.special import expit

from napari_cxr.checkpoint import Card, read_card
from napari_cxr.checkpoint.model_file import replace_card
from napari_cxr.evaluation import balanced_weights, leave_one_source_out
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.metrics.conformal import fit_prediction_sets
from napari_cxr.training.answer_fitting import operating_points

WEIGHTS = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'weights' / 'cxr-opacity.safetensors'
#: What opacity_model.py chose, inside the source that is learnt from; see docs/opacity-model.md.
CHOSEN: dict[str, Configuration] = {
    'kermany': TUNED[1],
    'nih': Head(f'{LITE}0', SHIPPED_VIEW, SHIPPED_TAP, True, 0.001),
}
SHIPPED = TUNED[1]


def left_out(study: Study) -> np.ndarray:
    """Return what models of both sources say of patients left out."""
    places = np.arange(len(study.labelled.paths))
    logits = np.zeros(len(places))
    for number, held in enumerate(study.folds(places, JUDGING, seed=0)):

        def make(held: np.ndarray = held) -> list[float]:
            rest = np.setdiff1d(places, held)
            fits = fit((SHIPPED,), study.features, study.views, study.labelled, rest)
            return fits[SHIPPED](held, 'plain').tolist()  # type: ignore[no-any-return]

        logits[held] = study.remembered(f'both fold {number}', make)
    return logits


def between_sources(study: Study) -> dict[str, dict[str, list[float]]]:
    """Return what a model of each source says of the other, beside classifiers without lungs."""
    found = {}
    for source, learn, judge in leave_one_source_out(study.labelled.sources.tolist()):
        other = 'kermany' if source == 'nih' else 'nih'
        chosen = CHOSEN[other]

        def make(
            learn: np.ndarray = learn,
            judge: np.ndarray = judge,
            chosen: Configuration = chosen,
        ) -> dict[str, list[float]]:
            fits = fit((chosen,), study.features, study.views, study.labelled, learn)
            said = fits[chosen](judge, 'plain').tolist()
            return {'model': said, **study.shortcuts(learn, judge)}

        said = study.remembered(f'card, {other} to {source}', make)
        found[f'{other} to {source}'] = {**said, 'places': judge.tolist()}
    return found


def main() -> None:
    """Work out what is not there yet; show the card's entries, or write them."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument('--out', type=Path, help='folder for state')
    options.add_argument('--prevalence', action='store_true', help='no more than the prevalence')
    options.add_argument('--write', action='store_true', help="write the plugin's own model")
    arguments = options.parse_args()
    data, card = Path(os.environ['NAPARI_CXR_DATA']), read_card(WEIGHTS)
    if arguments.prevalence:
        new = replace(card, prevalence=prevalence(label_images(data)))
    elif arguments.out is None:
        raise SystemExit('Name a folder for state: --out FOLDER.')
    else:
        new = refitted(card, data, arguments.out)
    show(card.to_dict(), new.to_dict())
    if arguments.write:
        replace_card(WEIGHTS, new)


def prevalence(labelled: Labelled) -> dict[str, float]:
    """Return the fraction of images with an opacity, weighted as in the fit of the calibration."""
    weights = balanced_weights(labelled.positive, labelled.strata)
    return {LABEL: round(float(np.average(labelled.positive, weights=weights)), 6)}


def refitted(card: Card, data: Path, out: Path) -> Card:
    """Return the card with thresholds, sets and areas of models of the same making."""
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    study = Study(data, out)
    if card.recipe['configuration'] != str(SHIPPED):
        raise SystemExit(f'The card is of another configuration: {card.recipe["configuration"]}')
    logits = left_out(study)
    labelled = study.labelled
    positive = labelled.positive
    weights = balanced_weights(positive, labelled.strata)
    slope, shift = platt(logits, positive, weights)
    p = expit(slope * logits + shift)[:, None]
    truth = positive[:, None]
    found = decisions(study, logits)
    points = operating_points(truth, p, card.labels, weights)
    said = between_sources(study)
    return replace(
        card,
        operating_points=points,
        undecided={LABEL: found['band']},
        prevalence=prevalence(labelled),
        prediction_sets=fit_prediction_sets(truth, p, card.labels, 0.1, weights),
        metrics={
            **held_out_metrics(study, said),
            'note': card.metrics['note'],
        },
    )


def show(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Print the entries that change."""
    for name, value in new.items():
        if value != old.get(name):
            print(f'{name}\n  was {old.get(name)}\n  is  {value}')


if __name__ == '__main__':
    main()
