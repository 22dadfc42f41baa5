"""How fast each way to run a network is, and what reduced precision does to AUCs.

    python benchmarks/network_ways.py speed [--models NAME...] [--threads N...] [--batch N]
    NAPARI_CXR_DATA=... python benchmarks/network_ways.py auc [--each IMAGES]

* speed: images per second, and the ratio to torch's plain way. The ways take turns on the same
  batch in one process, and medians count. Bundled models have their weights, others random
  ones: the time is the same.
* auc: the AUC of each class against the rest for the bundled models, on all images of cxr3, or
  so many of each class, in every way; and by how much it moves from the plain way.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from napari_cxr import image_files, networks
from napari_cxr.checkpoint import Card, Checkpoint
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.backends.backend import BACKENDS, EAGER, why_unavailable
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.device import choose_device
from napari_cxr.inference.engine_trial import Trial
from napari_cxr.inference.trial_images import trial_images
from napari_cxr.metrics.classification import auc

BUNDLED = ('cxr3-lung-texture', 'cxr3-resnet10')
STOCK = ('resnet18', 'densenet121', 'resnet50')
ROUNDS = 7
#: Seconds after which a library is held to hang.
LIMIT = 30.0


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('part', choices=('speed', 'auc'))
    parser.add_argument('--models', nargs='+', default=[*BUNDLED, *STOCK])
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--each', type=int, default=0, help='images of a class; 0 for all')
    options = parser.parse_args()
    if options.part == 'auc':
        move_of_aucs(options.batch, options.each)
        return
    print('| model | threads | way | images/s | ratio | largest change of a probability |')
    print('| --- | --- | --- | --- | --- | --- |')
    for name in options.models:
        classifier = classifier_of(name)
        for threads in options.threads:
            torch.set_num_threads(threads)
            speed(name, classifier, threads, options.batch)


def classifier_of(name: str) -> Classifier:
    """Return a bundled model, or a network with random weights."""
    if name in BUNDLED:
        return Classifier.load(name, 'cpu')
    torch.manual_seed(0)
    card = Card(
        name=name,
        title='Random weights',
        architecture=name,
        labels=('a', 'b', 'c'),
        channels=1,
        preprocessing=Preprocessing(224, 224).to_dict(),
    )
    state = networks.create(name, 3, 1).state_dict()
    return Classifier(Checkpoint(card, state), choose_device('cpu'))


def here(classifier: Classifier) -> list[str]:
    """Return the ways of this machine that can run a model."""
    names = []
    for name in BACKENDS:
        reason = why_unavailable(name, 'cpu')
        if not reason and BACKENDS[name].library:
            reason = tried(classifier, name)
        if reason:
            print(f'<!-- {classifier.card.name}, {name}: {reason} -->', flush=True)
        else:
            names.append(name)
    return names


def tried(classifier: Classifier, name: str) -> str:
    """Return why a library does not run a model, after trying it in another process."""
    x = classifier.preprocessing.normalise(trial_images(classifier, 1))
    try:
        with closing(Trial(BACKENDS[name], classifier.onnx(), 1, x, LIMIT)) as trial:
            while not trial.ended(1.0):
                pass
            trial.result()
    except RuntimeError as error:
        return str(error)
    return ''


def speed(name: str, classifier: Classifier, threads: int, batch: int) -> None:
    """Print the lines of one model."""
    images = trial_images(classifier, batch)
    running, given = {}, {}
    for way in here(classifier):
        classifier.use(way)
        running[way] = classifier._running
        given[way] = classifier.probabilities(classifier.logits(images)[0])
    x = torch.from_numpy(classifier.preprocessing.normalise(images))
    times: dict[str, list[float]] = {way: [] for way in running}
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for way, network in running.items():
                begun = time.perf_counter()
                network(x)
                times[way].append(time.perf_counter() - begun)
    plain = statistics.median(times[EAGER.name])
    for way, taken in times.items():
        took = statistics.median(taken)
        moved = np.abs(given[way] - given[EAGER.name]).max()
        print(
            f'| {name} | {threads} | {way} | {batch / took:.1f} | {plain / took:.2f} '
            f'| {moved:.1g} |',
            flush=True,
        )


def move_of_aucs(batch: int, each: int) -> None:
    """Print AUCs of the bundled models, way by way."""
    root = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    for name in BUNDLED:
        classifier = Classifier.load(name, 'cpu')
        paths = [
            (k, path)
            for k, label in enumerate(classifier.labels)
            for path in sorted((root / label).glob('*.jp*g'))[: each or None]
        ]
        ways = here(classifier)
        running = {}
        for way in ways:
            classifier.use(way)
            running[way] = classifier._running
        found: dict[str, list[np.ndarray]] = {way: [] for way in ways}
        truth: list[int] = []
        for start in range(0, len(paths), batch):
            part = paths[start : start + batch]
            images = [classifier.prepare(image_files.read(path)).image for _, path in part]
            x = torch.from_numpy(classifier.preprocessing.normalise(np.stack(images)))
            truth += [k for k, _ in part]
            with torch.inference_mode():
                for way, network in running.items():
                    found[way].append(classifier.probabilities(network(x).numpy()))
        print(f'{name}, {len(truth)} images')
        plain = np.concatenate(found[EAGER.name])
        for way in ways:
            scores = np.concatenate(found[way])
            aucs, before = (
                [float(auc(np.array(truth) == k, s[:, k])) for k in range(s.shape[1])]
                for s in (scores, plain)
            )
            moved = np.abs(np.array(aucs) - before).max()
            print(
                f'  {way:20} AUC {" ".join(f"{a:.5f}" for a in aucs)}  moved by up to '
                f'{moved:.2g}; probabilities by up to {np.abs(scores - plain).max():.2g}; '
                f'{(scores.argmax(1) != plain.argmax(1)).sum()} other labels',
                flush=True,
            )


if __name__ == '__main__':
    main()
