"""Make the bundled opacity model and every figure that its page and card show.

    NAPARI_CXR_DATA=... python scripts/opacity_model.py --out runs/opacity
    python scripts/opacity_tables.py runs/opacity

It can be stopped at any time; the same command goes on with what lies in the folder. At the
end it writes figures.json, looks.jsonl and cxr-opacity.safetensors there; --into puts the
model where the plugin has its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from opacity_card import write_model
from opacity_fitting import (
    HEADS,
    LITE,
    SHIPPED_TAP,
    SHIPPED_VIEW,
    TUNED,
    Configuration,
    Head,
    Views,
    fit,
)
from opacity_material import (
    MEAN,
    STD,
    VIEWS,
    Features,
    Labelled,
    features_of,
    label_images,
    read_images,
)
from scipy.special import expit

from napari_cxr.checkpoint import load
from napari_cxr.evaluation import (
    EvaluationLedger,
    abstention_band,
    compare,
    coverage,
    fit_shortcut,
    leave_one_source_out,
    patient_folds,
    within_auc,
)
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.metrics.classification import auc

#: Folds by patient in which a configuration is chosen, and in which it is then judged.
CHOOSING, JUDGING = 3, 5
#: What may be shipped: maps of stride 16 are fine enough for a heatmap, larger networks and
#: inputs cost more than four times the bare pass. The rest is measured for comparison only.
CANDIDATES: tuple[Configuration, ...] = (
    *(h for h in HEADS if (h.arch, h.view, h.tap) == (f'{LITE}0', SHIPPED_VIEW, SHIPPED_TAP)),
    *TUNED,
)
EVERYTHING: tuple[Configuration, ...] = (*HEADS, *TUNED)
SHORTCUTS = ('projection only', 'format only', 'format and grey levels')
ALPHA = 0.1


class _Computed(dict[tuple[str, str], Features]):
    """Features by network and view, worked out when they are first asked for."""

    def __init__(self, make: Callable[[str, str], Features]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: tuple[str, str]) -> Features:
        self[key] = self._make(*key)
        return self[key]


class Study:
    """All images and what networks make of them, with what was measured so far."""

    def __init__(self, data: Path, out: Path) -> None:
        self.out = out
        self.labelled: Labelled = label_images(data)
        self.images = read_images(data, self.labelled.paths, out, tuple(VIEWS))
        self.features = _Computed(lambda arch, view: features_of(arch, view, self.images, out))
        self.views = Views(self.images, out)
        self.looks = EvaluationLedger(out / 'looks.jsonl')

    def of(self, source: str) -> np.ndarray:
        """Return the places of the images of a source."""
        return np.flatnonzero(self.labelled.sources == source)

    def folds(self, places: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
        """Divide places by patient, each source and class spread evenly."""
        labelled = self.labelled
        kinds = np.unique(labelled.sources, return_inverse=True)[1] * 2 + labelled.positive
        groups = [labelled.groups[i] for i in places]
        return [places[held] for held in patient_folds(groups, kinds[places], count, seed)]

    def within(self, places: np.ndarray, scores: np.ndarray) -> float:
        """Return the area within projection, averaged over sources."""
        labelled, areas = self.labelled, []
        for source in sorted(set(labelled.sources[places])):
            there = labelled.sources[places] == source
            own = places[there]
            strata = [labelled.strata[i] for i in own]
            areas.append(float(within_auc(labelled.positive[own], scores[there], strata)))
        return float(np.mean(areas))

    def remembered(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what was worked out before under this name, or work it out."""
        path = self.out / 'parts' / f'{name}.json'
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            half = path.with_suffix('.half')
            half.write_text(json.dumps(make()), encoding='utf-8')
            half.replace(path)
            print(name, flush=True)
        return json.loads(path.read_text(encoding='utf-8'))

    def choose(self, name: str, places: np.ndarray) -> Configuration:
        """Choose a candidate by images of training sources alone, as other scanners show them."""

        def make() -> dict[str, float]:
            areas: dict[str, list[float]] = {str(c): [] for c in CANDIDATES}
            for held in self.folds(places, CHOOSING, seed=1):
                rest = np.setdiff1d(places, held)
                fits = fit(CANDIDATES, self.features, self.views, self.labelled, rest)
                for configuration, said in fits.items():
                    areas[str(configuration)].append(self.within(held, said(held, 'judged')))
            return {key: float(np.mean(values)) for key, values in areas.items()}

        areas = self.remembered(f'choosing in {name}', make)
        for key, area in areas.items():
            self.looks.add(f'inside {name}', key, 'choose', area)
        best = max(areas, key=lambda key: areas[key])
        return next(c for c in CANDIDATES if str(c) == best)

    def scores(self, name: str, learn: np.ndarray, judge: np.ndarray) -> dict[str, list[float]]:
        """Return what every configuration says of images that it has not learnt from."""

        def make() -> dict[str, list[float]]:
            fits = fit(EVERYTHING, self.features, self.views, self.labelled, learn)
            found = {str(c): said(judge, 'plain').tolist() for c, said in fits.items()}
            return found | self.shortcuts(learn, judge)

        return dict(self.remembered(f'scores of {name}', make))

    def shortcuts(self, learn: np.ndarray, judge: np.ndarray) -> dict[str, list[float]]:
        """Return what classifiers say that do not see the lungs."""
        labelled, statistics = self.labelled, self.images.statistics
        projections = np.array(labelled.projections)
        found: dict[str, list[float]] = {}
        for name in SHORTCUTS:
            guess = fit_shortcut(
                name, statistics[learn], projections[learn].tolist(), labelled.positive[learn]
            )
            found[name] = guess(statistics[judge], projections[judge].tolist()).tolist()
        found['lungs blanked'] = self.headed(learn, judge, blanked=True).tolist()
        return found

    def headed(self, learn: np.ndarray, judge: np.ndarray, *, blanked: bool) -> np.ndarray:
        """Return what a plain head says, of images as they are or with both lungs blanked."""
        own = self.features[f'{LITE}0', SHIPPED_VIEW]
        seen = Features(own.blanked if blanked else own.plain, {}, {}, {})
        head = Head(f'{LITE}0', SHIPPED_VIEW, SHIPPED_TAP, False, 0.01)
        said = fit((head,), {(head.arch, head.view): seen}, None, self.labelled, learn)[head]
        return said(judge, 'plain')

    def inside(self, source: str) -> dict[str, float]:
        """Return areas by patients left out within one source, lungs seen and blanked."""
        places = self.of(source)
        found = {}
        for name, blanked in (('lungs seen', False), ('lungs blanked', True)):
            scores = np.zeros(len(self.labelled.paths))
            for held in self.folds(places, JUDGING, seed=0):
                rest = np.setdiff1d(places, held)
                scores[held] = self.headed(rest, held, blanked=blanked)
            found[name] = float(auc(self.labelled.positive[places], scores[places]))
        return found

    def compared(
        self, name: str, places: np.ndarray, scores: dict[str, np.ndarray], chosen: str
    ) -> dict[str, Any]:
        """Measure what was chosen beside the shortcuts, and list every configuration."""
        labelled = self.labelled
        positive = labelled.positive[places]
        strata = [labelled.strata[i].projection for i in places]
        groups = [labelled.groups[i] for i in places]
        beside = {key: scores[key] for key in (*SHORTCUTS, 'lungs blanked')}
        found = compare(positive, {'model': scores['chosen'], **beside}, strata, groups)
        tried = {}
        for configuration in map(str, EVERYTHING):
            said = scores[configuration]
            tried[configuration] = [
                float(auc(positive, said)),
                float(within_auc(positive, said, strata)),
            ]
            self.looks.add(name, configuration, 'report', tried[configuration][1])
        return {'chosen': chosen, **found, 'tried': tried}


def by_source(study: Study) -> tuple[dict[str, Any], dict[str, Any]]:
    """Learn from one source, judge the other; choose inside the one.

    Returns what was measured, and what was said of each image.
    """
    rows, said = {}, {}
    for source, learn, judge in leave_one_source_out(study.labelled.sources.tolist()):
        other = 'kermany' if source == 'nih' else 'nih'
        chosen = study.choose(other, learn)
        name = f'{other} to {source}'
        scores = study.scores(name, learn, judge)
        arrays = {key: np.array(values) for key, values in scores.items()}
        arrays['chosen'] = arrays[str(chosen)]
        rows[name] = study.compared(f'{source} held out', judge, arrays, str(chosen))
        said[name] = {**scores, 'model': scores[str(chosen)], 'places': judge.tolist()}
    return rows, said


def by_patient(study: Study, source: str) -> dict[str, Any]:
    """Judge one source by patients left out; choose anew among the others in each fold."""
    places = study.of(source)
    arrays: dict[str, np.ndarray] = {}
    chosen = []
    for number, held in enumerate(study.folds(places, JUDGING, seed=0)):
        rest = np.setdiff1d(places, held)
        own = study.choose(f'{source} without fold {number}', rest)
        chosen.append(str(own))
        said = study.scores(f'{source} fold {number}', rest, held)
        for key, values in (*said.items(), ('chosen', said[str(own)])):
            row = arrays.setdefault(key, np.zeros(len(study.labelled.paths)))
            # Ranks of different models are not comparable; their logits nearly are.
            row[held] = values
    return study.compared(
        f'{source} by patient',
        places,
        {key: row[places] for key, row in arrays.items()},
        '; '.join(chosen),
    )


def shipped(study: Study) -> tuple[Configuration, np.ndarray]:
    """Choose inside both sources; return what it says of patients left out."""
    places = np.arange(len(study.labelled.paths))
    chosen = study.choose('both', places)
    logits = np.zeros(len(places))
    for number, held in enumerate(study.folds(places, JUDGING, seed=0)):

        def make(held: np.ndarray = held) -> list[float]:
            rest = np.setdiff1d(places, held)
            fits = fit((chosen,), study.features, study.views, study.labelled, rest)
            return fits[chosen](held, 'plain').tolist()  # type: ignore[no-any-return]

        logits[held] = study.remembered(f'both fold {number}', make)
    return chosen, logits


def platt(logits: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return slope and shift that turn logits into probabilities (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, max_iter=1000)
    model.fit(logits[:, None], positive, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def threshold_at(scores: np.ndarray, weights: np.ndarray, sensitivity: float) -> float:
    """Return the highest threshold that finds so much of the positives' weight."""
    order = np.argsort(-scores)
    found = np.cumsum(weights[order]) / weights.sum()
    return float(scores[order[np.searchsorted(found, sensitivity - 1e-9)]])


def youden(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Return the threshold of the largest sum of sensitivity and specificity."""
    order = np.argsort(-scores)
    up = np.cumsum(weights[order] * positive[order]) / (weights * positive).sum()
    down = np.cumsum(weights[order] * ~positive[order]) / (weights * ~positive).sum()
    return float(scores[order[np.argmax(up - down)]])


def at(positive: np.ndarray, p: np.ndarray, threshold: float) -> dict[str, float]:
    """Return sensitivity and specificity at a threshold."""
    return {
        'sensitivity': float((p[positive] >= threshold).mean()),
        'specificity': float((p[~positive] < threshold).mean()),
    }


def decisions(study: Study, logits: np.ndarray) -> dict[str, Any]:
    """Fit calibration, operating points and the band on patients left out; measure them."""
    from napari_cxr.evaluation import balanced_weights

    labelled = study.labelled
    positive, sources = labelled.positive, labelled.sources
    weights = balanced_weights(positive, labelled.strata)
    slope, shift = platt(logits, positive, weights)
    p = expit(slope * logits + shift)
    points = {
        'sensitivity 0.90': threshold_at(p[positive], weights[positive], 0.90),
        'sensitivity 0.95': threshold_at(p[positive], weights[positive], 0.95),
        'Youden': youden(positive, p, weights),
    }
    band = abstention_band(positive, p, sources.tolist(), points['Youden'], ALPHA)
    measured: dict[str, Any] = {'points': points, 'band': [band.low, band.high]}
    measured |= {'slope': slope, 'shift': shift, 'sources': {}}
    for source in sorted(set(sources)):
        there = sources == source
        strata = [labelled.strata[i].projection for i in np.flatnonzero(there)]
        groups = [labelled.groups[i] for i in np.flatnonzero(there)]
        own = compare(positive[there], {'model': p[there]}, strata, groups)
        own['at'] = {name: at(positive[there], p[there], t) for name, t in points.items()}
        own['band'] = coverage(positive[there], p[there], band)
        measured['sources'][source] = own
    # What a threshold from one source gives in the other: why the band is wide.
    measured['transferred'] = {}
    for source, learn, judge in leave_one_source_out(sources.tolist()):
        t = youden(positive[learn], p[learn], weights[learn])
        measured['transferred'][f'threshold of the other source in {source}'] = at(
            positive[judge], p[judge], t
        )
    return measured


def main() -> None:
    """Work out what is not there yet, and write figures and model."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument('--out', type=Path, required=True, help='folder for state and figures')
    options.add_argument('--into', type=Path, help='folder to copy the model to')
    arguments = options.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # its sums, and so the model, do not depend on the machine's cores
    torch.set_flush_denormal(True)
    keep_freed_memory()
    study = Study(Path(os.environ['NAPARI_CXR_DATA']), arguments.out)
    chosen, logits = shipped(study)
    figures: dict[str, Any] = {'shipped': str(chosen), 'logits': logits.tolist()}
    figures['decisions'] = decisions(study, logits)
    figures['rows'], figures['said'] = by_source(study)
    figures['rows']['nih by patient'] = by_patient(study, 'nih')
    figures['inside kermany'] = study.inside('kermany')
    figures['looks'] = looks_of(study.looks)
    model = write_model(study, chosen, figures, arguments.out / 'cxr-opacity.safetensors')
    figures['looked'] = where_it_looks(study, model)
    names = ('shipped', 'decisions', 'rows', 'inside kermany', 'looked', 'looks')
    text = json.dumps({name: figures[name] for name in names}, indent=1)
    (arguments.out / 'figures.json').write_text(text, encoding='utf-8')
    if arguments.into is not None:
        shutil.copyfile(model, arguments.into / model.name)
    print(f'The model and its figures are in {arguments.out}.')


def where_it_looks(study: Study, model: Path) -> dict[str, dict[str, float]]:
    """Return how much of the heatmap lies in the lungs, on NIH's images with an opacity.

    By cells of 16 pixels, all of them, and without the outermost, which see what is padded.
    """
    network = load(model).network()
    weights = network.closed_form()
    assert weights is not None
    places = np.flatnonzero((study.labelled.sources == 'nih') & study.labelled.positive)
    maps, cells = [], []
    for start in range(0, len(places), 16):
        some = places[start : start + 16]
        with torch.no_grad():
            features, _ = network.features((study.images.shown(SHIPPED_VIEW, some) - MEAN) / STD)
            maps.append(torch.einsum('c,nchw->nhw', weights[0], features).relu().numpy())
        height, width = maps[-1].shape[1:]
        lungs = study.images.lungs[some].reshape(len(some), height, 16, width, 16)
        cells.append(lungs.mean(axis=(2, 4)))
    heat, lungs = np.concatenate(maps), np.concatenate(cells)
    found = {}
    for name, cut in (('all cells', 0), ('without the outermost', 1)):
        inner = np.s_[:, cut : heat.shape[1] - cut, cut : heat.shape[2] - cut]
        own, of = heat[inner], lungs[inner]
        share = (own * of).sum(axis=(1, 2)) / own.sum(axis=(1, 2))
        even = of.mean(axis=(1, 2))
        found[name] = {
            'images': len(places),
            'share': float(share.mean()),
            'even': float(even.mean()),
            'more': float((share > even).mean()),
        }
    return found


def looks_of(looks: EvaluationLedger) -> dict[str, dict[str, int]]:
    """Count looks by set and purpose."""
    sets: Sequence[str] = sorted({look.images for look in looks})
    return {
        name: {purpose: looks.count(name, purpose) for purpose in ('choose', 'report')}
        for name in sets
    }


if __name__ == '__main__':
    main()
