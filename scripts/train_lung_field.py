"""Make all of the lung field: atlas, network, what is plausible, and the figures.

    NAPARI_CXR_DATA=... python scripts/train_lung_field.py --out runs/lung-field

Trains on the radiographs of `lungmasks` that are for training, and in a second part
also on its own answers for radiographs of two sources of `cxr3`, training split only.
It can be stopped at any time; the same command goes on from the state in the folder
named by --out. At the end it writes the files that the plugin uses into
src/napari_cxr/lungs, and the figures to figures.json in that folder.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import lung_figures
import numpy as np
import torch
from lung_atlas import write_atlas
from lung_learning import Learning, Plan, own_answers
from lung_material import Masked, pixels, read_masks, small, unmasked
from safetensors.numpy import save_file

LUNGS = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'lungs'
#: Sources of radiographs without masks. The other two of `cxr3` stay unseen, to judge by.
SOURCES = ('nih', 'kermany')
#: Radiographs without masks from each of them.
FROM_EACH = 300


def main() -> None:
    """Train what is not trained yet, write the files, print the figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument('--out', type=Path, required=True, help='folder for state and figures')
    options.add_argument('--first', type=int, default=Plan.first, help='steps from masks alone')
    options.add_argument('--second', type=int, default=Plan.second, help='steps with own answers')
    options.add_argument('--seed', type=int, default=Plan.seed)
    options.add_argument('--into', type=Path, default=LUNGS, help='where the plugin has its files')
    arguments = options.parse_args()
    data = Path(os.environ['NAPARI_CXR_DATA'])
    arguments.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(first=arguments.first, second=arguments.second, seed=arguments.seed)
    masked = read_masks(data / 'lungmasks')
    write_atlas([item for item in masked if item.split == 'train'], arguments.into)
    learning, answers = train(plan, masked, data / 'cxr3', arguments.out)
    card = {
        'title': 'Lung field: both lungs on an upright frontal chest radiograph',
        'licence': 'BSD-3-Clause for the weights; trained on images of the sources named here',
        'masks': 'GeneralBlockchain and v7labs lung masks (CC BY 4.0), by patient: '
        f'{sum(item.split == "train" for item in masked)} radiographs for training, '
        f'{sum(item.split == "test" for item in masked)} for testing',
        'own_answers': 'answers of a first network for radiographs of the training split of '
        + ', '.join(f'{name} ({count})' for name, count in answers.items()),
        'command': f'python scripts/train_lung_field.py --out FOLDER --first {plan.first} '
        f'--second {plan.second} --seed {plan.seed}',
        'minutes': round(learning.seconds / 60, 1),
        'not_for': 'clinical use; lateral views; images that are no chest radiographs',
    }
    tensors = learning.mean.exported(np.float16)
    figures = lung_figures.measure(tensors, [item for item in masked if item.split == 'test'])
    card['figures'] = figures['summary']
    target = arguments.into / 'lung-field.safetensors'
    save_file(tensors, target, metadata={'napari_cxr.lung_field': json.dumps(card)})
    target.chmod(0o644)
    (arguments.out / 'figures.json').write_text(json.dumps(figures, indent=1) + '\n')
    lung_figures.show(figures)


def train(
    plan: Plan, masked: list[Masked], folder: Path, out: Path
) -> tuple[Learning, dict[str, int]]:
    """Do both parts, or what is left of them; also return how many own answers were used."""
    learning, state, teacher = Learning(plan), out / 'state.safetensors', out / 'first.safetensors'
    if state.exists() and not learning.resume(state):
        raise SystemExit(f'{state} belongs to another plan; name another folder with --out.')
    images, sides = map(
        torch.from_numpy, pixels([item for item in masked if item.split == 'train'])
    )
    if learning.step <= plan.first:
        follow(learning, images, sides, None, state)
        learning.save(teacher)
    first = Learning(plan)
    first.resume(teacher)
    groups, more = [], []
    for source in SOURCES:
        paths = unmasked(folder, (source,))
        order = np.random.default_rng([plan.seed, 2]).permutation(len(paths))[:FROM_EACH]
        more += [small(paths[place]) for place in sorted(order)]
        groups += [source] * len(order)
    chosen, answers = own_answers(first.mean, np.array(more), np.array(groups), plan.kept)
    unlabelled = torch.from_numpy(np.array(more)[chosen]), torch.from_numpy(answers)
    follow(learning, images, sides, unlabelled, state)
    names, counts = np.unique(np.array(groups)[chosen], return_counts=True)
    return learning, dict(zip(names.tolist(), counts.tolist(), strict=True))


def follow(
    learning: Learning,
    images: torch.Tensor,
    sides: torch.Tensor,
    more: tuple[torch.Tensor, torch.Tensor] | None,
    state: Path,
) -> None:
    """Run one part and print where it is."""
    losses: list[float] = []
    for step, loss in learning.learn(images, sides, more, state):
        losses.append(loss)
        if step % 100 == 0:
            mean = np.mean(losses[-100:])
            print(f'step {step} loss {mean:.3f} after {learning.seconds:.0f} s', flush=True)


if __name__ == '__main__':
    main()
