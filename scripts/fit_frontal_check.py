"""Fit the check for frontal chest radiographs, and say how well it does elsewhere.

    NAPARI_CXR_DATA=... python scripts/fit_frontal_check.py --work FOLDER

Five fits: four leave one source of `cxr3` out, to be judged on all of its images and on
pictures that are none; the fifth, on all four, is written to
`src/napari_cxr/lungs/frontal.safetensors`. Each learns from the training split; its bounds
come from the other images of the same sources. The tables are those of
`docs/frontal-check.md`. About ten minutes of one core for the fits and some for reading;
what `--work` holds already is taken from there.
"""

import argparse
import csv
import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from frontal_fitting import exported, train
from frontal_strangers import Stranger, strangers
from safetensors.numpy import save_file

from napari_cxr import image_files, lungs
from napari_cxr.lungs.frontal_check import (
    FRONTAL_INPUT_SIZE,
    ORIENTATIONS,
    UNTRIMMED_SIZE,
    judge_scores,
    orientation_scores,
    without_margins,
)

DATA = Path(os.environ['NAPARI_CXR_DATA'])
TARGET = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'lungs' / 'frontal.safetensors'
SOURCES = ('hannover', 'covidcxnet', 'nih', 'kermany')
#: The share of the radiographs of a fit's own sources that may lie beyond each bound, and
#: the least that a bound must be: that another way is as good is no reason to doubt.
ALLOWED = {'mirrored': 0.005, 'inverted': 0.001, 'upside-down': 0.001}
LEAST = 1.0
#: The network hesitates where a radiograph is less than seven times as likely as anything
#: else, and the other way round; there the lungs decide.
NEVER, SURE = -2.0, 2.0
#: In which order the answers of a picture stand after it was turned.
TURNED = {
    'inverted': [4, 5, 6, 7, 0, 1, 2, 3],
    'upside down': [2, 3, 0, 1, 6, 7, 4, 5],
    'turned by half a circle': [3, 2, 1, 0, 7, 6, 5, 4],
    'inverted and upside down': [6, 7, 4, 5, 2, 3, 0, 1],
    'mirrored': [1, 0, 3, 2, 5, 4, 7, 6],
}
#: What is measured beside the sources: radiographs with lung masks, of five other collections.
MASKS = 'lungmasks'


def main() -> None:
    """Fit, judge, write, print."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work', type=Path, required=True, help='folder for what takes long')
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    chests = read(work)
    for out in ('all', *SOURCES):
        fit(chests, out, work)
    kinds = strangers(DATA, work)
    alarms, found, named = {}, {}, {}
    for out in (*SOURCES, 'all'):
        tensors = fit(chests, out, work)
        scores = answered(chests['small'], tensors, work / f'answers-{out}.npy')
        others = (chests['source'] != out) & (chests['source'] != MASKS)
        bounds = bounds_of(scores[others & (chests['split'] != 'train')])
        print(out, bounds, flush=True)
        own = np.flatnonzero(chests['source'] == (MASKS if out == 'all' else out))
        alarms[out] = alarms_of(scores[own], chests['path'][own], bounds)
        turned = {
            kind: [judge_scores(s[order], bounds).kind for s in scores[own]]
            for kind, order in TURNED.items()
        }
        lying = np.rot90(chests['small'][own], axes=(1, 2))
        turned['on its side'] = [
            judge_scores(orientation_scores(x, tensors), bounds).kind for x in lying
        ]
        met = {kind: [of(s, tensors, bounds) for s in kinds[kind]] for kind in kinds}
        found[out] = {k: np.mean([w != 'frontal' for w in v]) for k, v in (turned | met).items()}
        named[out] = {
            kind: np.mean([word == ORIENTATIONS[TURNED[kind][0]] for word in words])
            if kind in TURNED
            else np.mean([word == 'other' for word in words])
            for kind, words in (turned | met).items()
        }
    write(tensors, bounds, alarms, found)
    print(alarm_table(alarms))
    print(found_table(found, named, {kind: len(pictures) for kind, pictures in kinds.items()}))


def read(work: Path) -> dict[str, np.ndarray]:
    """Return the radiographs: source, split, path, and two sizes of glances."""
    kept = work / 'radiographs.npz'
    if not kept.exists():
        with open(DATA / 'cxr3' / 'manifest.csv', newline='') as table:
            rows = [(r['source'], r['split'], f'cxr3/{r["path"]}') for r in csv.DictReader(table)]
        with open(DATA / MASKS / 'manifest.csv', newline='') as table:
            rows += [(MASKS, 'test', f'{MASKS}/{r["image"]}') for r in csv.DictReader(table)]
        wide = np.empty((len(rows), UNTRIMMED_SIZE, UNTRIMMED_SIZE), np.uint8)
        small = np.empty((len(rows), FRONTAL_INPUT_SIZE, FRONTAL_INPUT_SIZE), np.float32)
        for i, (_, _, path) in enumerate(rows):
            radiograph = image_files.read(DATA / path)
            wide[i] = np.rint(255 * lungs.downscale(radiograph, UNTRIMMED_SIZE))
            small[i] = without_margins(wide[i] / np.float32(255))
        source, split, paths = zip(*rows, strict=True)
        np.savez(kept, source=source, split=split, path=paths, wide=wide, small=small)
    with np.load(kept) as arrays:
        return dict(arrays)


def fit(chests: dict[str, np.ndarray], out: str, work: Path) -> dict[str, np.ndarray]:
    """Return the weights of a network that never saw one of the sources."""
    kept = work / f'fit-{out}.npz'
    if not kept.exists():
        chosen = np.isin(chests['source'], SOURCES) & (chests['source'] != out)
        chosen &= chests['split'] == 'train'
        print(out, 'is left out' if out != 'all' else 'are learnt from', flush=True)
        network = train(chests['wide'][chosen], chests['source'][chosen], seed=0)
        np.savez(kept, **exported(network))
    with np.load(kept) as arrays:
        return {name: array.astype(np.float32) for name, array in arrays.items()}


def answered(small: np.ndarray, tensors: dict[str, np.ndarray], kept: Path) -> np.ndarray:
    """Return the eight answers for each of many pictures."""
    if not kept.exists():
        np.save(kept, [orientation_scores(picture, tensors) for picture in small])
    return np.load(kept)


def bounds_of(scores: np.ndarray) -> dict[str, float]:
    """Return the bounds that the allowed shares of right radiographs lie beyond."""
    bounds = {'other': NEVER, 'sure': SURE}
    for kind, share in ALLOWED.items():
        ways = [i for i, way in enumerate(ORIENTATIONS) if way == kind]
        lead = scores[:, ways].max(axis=1) - scores[:, 0]
        bounds[kind] = round(max(LEAST, float(np.quantile(lead, 1 - share))), 2)
    return bounds


def alarms_of(scores: np.ndarray, paths: np.ndarray, bounds: dict[str, float]) -> dict[str, float]:
    """Return how often right radiographs were doubted, for each reason."""
    said = [
        judge_scores(s, bounds, NEVER <= s.max() < SURE and without_lungs(path)).kind
        for s, path in zip(scores, paths, strict=True)
    ]
    reasons = ('mirrored', 'inverted', 'upside-down', 'other')
    shares = {reason: float(np.mean([word == reason for word in said])) for reason in reasons}
    return {'images': len(said), **shares, 'all': sum(shares.values())}


@cache
def without_lungs(path: str) -> bool:
    """Return whether no plausible lungs are found on a radiograph."""
    return bool(lungs.find_lungs(image_files.read(DATA / path)).implausible)


def of(stranger: Stranger, tensors: dict[str, np.ndarray], bounds: dict[str, float]) -> str:
    """Return what a picture that is no radiograph is taken for."""
    return judge_scores(
        orientation_scores(stranger.glance, tensors), bounds, stranger.lungless
    ).kind


def write(
    tensors: dict[str, np.ndarray],
    bounds: dict[str, float],
    alarms: dict[str, dict[str, float]],
    found: dict[str, dict[str, float]],
) -> None:
    """Write the file that is shipped; `all` was judged on radiographs with lung masks."""
    about = {
        'bounds': bounds,
        'trained_on': 'Hannover (CC BY 3.0), COVID-CXNet (CC BY 4.0), NIH ChestX-ray14 '
        '(free use with attribution), Kermany (CC BY 4.0): training splits only',
        'false_alarms': {MASKS if out == 'all' else out: row for out, row in alarms.items()},
        'found': {
            out: {k: round(float(v), 4) for k, v in row.items()} for out, row in found.items()
        },
        'see': 'docs/frontal-check.md',
    }
    half = {name: np.ascontiguousarray(array, np.float16) for name, array in tensors.items()}
    save_file(half, TARGET, {'napari_cxr.frontal': json.dumps(about, sort_keys=True)})


def alarm_table(alarms: dict[str, dict[str, float]]) -> str:
    """Return false alarms as Markdown."""
    heads = ['images', 'mirrored', 'inverted', 'upside-down', 'other', 'all']
    lines = ['| left out | ' + ' | '.join(heads) + ' |', '| --- |' + ' ---: |' * len(heads)]
    for out, row in alarms.items():
        shares = ' | '.join(percent(row[head]) for head in heads[1:])
        lines.append(f'| {MASKS if out == "all" else out} | {row["images"]} | {shares} |')
    return '\n'.join(lines) + '\n'


def found_table(
    found: dict[str, dict[str, float]], named: dict[str, dict[str, float]], counts: dict[str, int]
) -> str:
    """Return what was noticed, and what was named rightly, as Markdown."""
    heads = [*SOURCES, MASKS]
    lines = [
        '| picture | n | ' + ' | '.join(heads) + ' |',
        '| --- | ---: |' + ' ---: |' * len(heads),
    ]
    for kind in found['all']:
        cells = [
            f'{percent(found[out][kind])} ({percent(named[out][kind])})'
            for out in (*SOURCES, 'all')
        ]
        lines.append(f'| {kind} | {counts.get(kind, "as above")} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def percent(share: float) -> str:
    """Return a share in per cent, with a decimal where it says something."""
    return f'{100 * share:.1f} %' if 0 < share < 1 else f'{100 * share:.0f} %'


if __name__ == '__main__':
    main()
