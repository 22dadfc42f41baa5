"""Events and folders of runs that nobody ran, with figures one can check by eye."""

import csv
import math
from dataclasses import asdict

from napari_cxr.training.training_events import (
    BatchDone,
    EpochDone,
    ImageSkipped,
    ReadingProgress,
    RunsDone,
    TrainingFinished,
    TrainingStarted,
)

LABELS = ('covid19', 'normal', 'pneumonia')


def started(run='run', epochs=28, batches=50, epoch=0, device='cpu'):
    counts = {name: dict.fromkeys(LABELS, 90) for name in ('train', 'val', 'test')}
    return TrainingStarted(
        run, LABELS, 'resnet18', counts, 'by patient', 11_178_051, 11_178_051, epochs, batches,
        epoch, device, 'float32',
    )  # fmt: skip


def batch(run='run', epoch=1, number=12, batches=50, loss=0.7, speed=41.2, left=720.0):
    return BatchDone(run, epoch, number, batches, loss, speed, left)


def epoch(run='run', number=1, epochs=28, best=True, shift=0.0, **changes):
    """An epoch on curves that flatten; validation a little worse than training."""
    done = number / epochs
    values = {
        'train_loss': 0.2 + math.exp(-4 * done) + shift,
        'train_accuracy': 0.97 - 0.4 * math.exp(-5 * done) - shift,
        'train_macro_auc': 0.99 - 0.3 * math.exp(-5 * done) - shift,
        'val_loss': 0.35 + math.exp(-4 * done) + 0.15 * done + shift,
        'val_accuracy': 0.9 - 0.4 * math.exp(-5 * done) - shift,
        'val_balanced_accuracy': 0.88 - 0.4 * math.exp(-5 * done) - shift,
        'val_macro_auc': 0.96 - 0.3 * math.exp(-5 * done) - shift,
        'val_macro_f1': 0.87 - 0.4 * math.exp(-5 * done) - shift,
        'learning_rate': 5e-4 * (1 + math.cos(math.pi * done)),
        'seconds': 61.5,
        'utilisation': 0.93,
        'confusion': ((60 + number, 12, 18), (5, 80, 5), (11, 9, 70)),
    }
    values.update(changes)
    return EpochDone(run=run, epoch=number, epochs=epochs, best=best, **values)


def metrics(auc=(0.957, 0.941, 0.971), baseline=0.969, measured_on='test', split='by patient'):
    return {
        'measured_on': measured_on,
        'split': split,
        'model': {'all': {'images': 270, 'macro_auc': list(auc), 'accuracy': [0.9, 0.86, 0.93]}},
        'baselines': {
            'format only': {'all': {'macro_auc': [0.9, 0.88, 0.92]}},
            'format and grey levels': {'all': {'macro_auc': [baseline, 0.95, 0.98]}},
        },
    }


def whole_run(run='run', epochs=28, best=17, shift=0.0, batches=50):
    """All events of a run, from the first image to the end."""
    yield ReadingProgress(run, 25, 400)
    yield ImageSkipped(run, 'image 17', 'A lateral view.')
    yield ReadingProgress(run, 400, 400)
    yield started(run, epochs, batches)
    for number in range(1, epochs + 1):
        yield batch(run, number, batches, batches, left=61.5 * (epochs - number))
        yield epoch(run, number, epochs, number <= best, shift)
    yield TrainingFinished(run, f'/runs/{run}/best.safetensors', best, metrics())


def folds(run='run', total=5, epochs=6):
    """All events of a cross-validated run."""
    for number in range(1, total + 1):
        name = f'{run}/fold-{number}'
        for event in whole_run(name, epochs, 4, shift=0.004 * number):
            if isinstance(event, TrainingFinished):
                value = 0.95 + 0.005 * number
                figures = metrics((value, value - 0.02, value + 0.02), 0.9)
                yield TrainingFinished(name, event.path, 4, figures)
            else:
                yield event
        yield RunsDone(run, number, total, row(number))


def row(number, **changes):
    """A line of the table of runs."""
    entries = {
        'run': f'run-{number}',
        'status': 'finished',
        'recipe': 'nova-custom',
        'network': 'nova-cnn',
        'execution_time': 6.7 * 60 * number,
        'minutes_per_epoch': 6.72,
        'acc': 0.9,
        'val_acc': 0.8 + number / 1e4,
        'auc': 0.97,
        'val_auc': 0.5 + number / 1e4,
        'loss': 0.21,
        'val_loss': 0.35,
        'input_shape': '256x256x3',
        'filter': 3,
        'batch': 50,
        'activation_output': 'sigmoid',
        'epochs': 40,
        'optimizer': 'rmsprop',
        'lr': 1e-4,
        'depth': 7,
        'parameters': 17_019_073,
        'trainable': 17_019_073,
        'tp': 90,
        'fp': 10,
        'tn': 190,
        'fn': 12,
    }
    return {**entries, **changes}


def write_run(folder, epochs=5, best=4, shift=0.0, card=None, planned=None):
    """Leave a run's files in a folder, as training does."""
    from napari_cxr.training.recipe import Recipe

    folder.mkdir(parents=True)
    recipe = Recipe('made-up', 'resnet18', epochs=planned or epochs)
    (folder / 'recipe.toml').write_text(recipe.to_toml(), encoding='utf-8')
    with (folder / 'metrics.csv').open('w', newline='', encoding='utf-8') as file:
        writer = None
        for number in range(1, epochs + 1):
            line = asdict(epoch(folder.name, number, epochs, number <= best, shift))
            del line['run'], line['epochs']
            for i, counts in enumerate(line.pop('confusion')):
                line |= {f'confusion_{i}_{j}': count for j, count in enumerate(counts)}
            if writer is None:
                writer = csv.DictWriter(file, line, lineterminator='\n')
                writer.writeheader()
            writer.writerow(line)
    if card is not None:
        import torch

        from napari_cxr.checkpoint import save

        save(folder / 'best.safetensors', {'weight': torch.zeros(1)}, card)
    return folder
