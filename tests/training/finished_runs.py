"""Run folders as training leaves them, made by hand, for tests that need no training."""

import csv

from napari_cxr.checkpoint import Card, save

EPOCHS = (
    # loss, accuracy, auc, val_loss, val_accuracy, val_auc, seconds, best
    (0.9, 0.5, 0.55, 0.8, 0.6, 0.65, 30.0, True),
    (0.7, 0.7, 0.75, 0.6, 0.8, 0.85, 60.0, True),
    (0.5, 0.9, 0.95, 0.7, 0.7, 0.80, 60.0, False),
)
_NAMES = (
    'train_loss',
    'train_accuracy',
    'train_macro_auc',
    'val_loss',
    'val_accuracy',
    'val_macro_auc',
    'seconds',
    'best',
)


def write_epochs(folder, epochs=EPOCHS):
    with (folder / 'metrics.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['epoch', *_NAMES])
        writer.writerows([number, *values] for number, values in enumerate(epochs, start=1))


def write_model(folder, recipe, labels, metrics=None, channels=1):
    import torch

    card = Card(
        name=recipe.name,
        title='',
        architecture=recipe.network,
        labels=tuple(labels),
        channels=channels,
        preprocessing=recipe.input.to_dict(),
        data={'epoch': 2},
        metrics=metrics or {},
    )
    tensors = {
        'stem.weight': torch.zeros(4, channels, 7, 7),
        'conv.weight': torch.zeros(8, 4, 3, 3),
        'again.weight': torch.zeros(8, 8, 3, 3),
        'one.weight': torch.zeros(8, 8, 1, 1),
        'norm.weight': torch.zeros(8),
        'norm.running_mean': torch.zeros(8),
        'norm.num_batches_tracked': torch.tensor(3),
        'head.weight': torch.zeros(2, 8),
    }
    save(folder / 'best.safetensors', tensors, card)
