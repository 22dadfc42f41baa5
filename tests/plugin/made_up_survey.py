"""Surveys of images that do not exist."""

import numpy as np

from napari_cxr.training.dataset_survey import DuplicatePair, Survey


def survey(
    per_class=(561, 1341, 551),
    labels=('covid19', 'normal', 'pneumonia'),
    sources=('cohen', 'figshare', 'kermany', 'rsna'),
    multilabel=False,
    pairs=12,
    skipped=(),
    excluded=(),
    seed=0,
    **changes,
):
    """Return a survey; the first classes come mostly from the first sources."""
    rng = np.random.default_rng(seed)
    n, kinds = sum(per_class), len(labels)
    first = np.repeat(np.arange(kinds), per_class)
    truth = np.eye(kinds, dtype=bool)[first]
    if multilabel:
        truth |= rng.random((n, kinds)) < 0.12
    # Class k comes from source k in nine of ten images.
    own = first % max(len(sources), 1)
    which = np.where(rng.random(n) < 0.93, own, rng.integers(0, max(len(sources), 1), n))
    split = rng.choice(['train', 'val', 'test'], n, p=(0.65, 0.15, 0.2))
    rows = np.where(first == 0, 299, rng.integers(500, 2500, n))
    columns = np.where(first == 0, 299, (rows * rng.uniform(0.9, 1.3, n)).astype(int))
    digests = tuple(f'{i:016x}' for i in range(n))
    out = np.zeros(n, bool)
    out[list(excluded)] = True
    split[out] = ''
    x = np.linspace(0, 1, 64)
    histograms = np.stack(
        [np.exp(-(((x - 0.35 - 0.3 * k / kinds) / 0.2) ** 2)) for k in range(kinds)]
    )
    histograms[:, 0] = 6
    histograms /= histograms.sum(axis=1, keepdims=True)
    found = [
        DuplicatePair(
            first=i,
            second=n - 1 - i,
            distance=i % 6,
            similarity=0.99 - 0.01 * i if i % 2 else float('nan'),
            across=True,
        )
        for i in range(pairs)
    ]
    values = {
        'labels': tuple(labels),
        'paths': tuple(f'{labels[k]}/image-{i:05d}.png' for i, k in enumerate(first)),
        'digests': digests,
        'truth': truth,
        'sources': tuple(sources[s] for s in which) if sources else ('',) * n,
        'groups': tuple(str(i) for i in range(n)),
        'splits': tuple(map(str, split)),
        'excluded': out,
        'sizes': np.column_stack([rows, columns]),
        'histograms': histograms,
        'cooccurrence': truth.T.astype(int) @ truth.astype(int),
        'split_kind': 'by patient',
        'association': 0.87 if len(sources) > 1 else float('nan'),
        'flags': (
            'The source tells the class: 93 % of the images of cohen are covid19.',
            'The size of an image alone tells covid19 from the others: all are 299 × 299.',
        ),
        'baselines': {
            'logistic regression': (0.914, 0.897, 0.93),
            'boosted trees': (0.962, 0.951, 0.972),
        },
        'pairs': tuple(found),
        'skipped': tuple(skipped),
    }
    return Survey(run='', **(values | changes))


def extreme():
    """Twelve classes with very long names, forty sources, no pairs."""
    labels = [
        f'{name} of the lower lobe of the left lung, seen in at least one view of two'
        for name in (
            'Atelectasis',
            'Cardiomegaly',
            'Consolidation',
            'Edema',
            'Effusion',
            'Emphysema',
            'Fibrosis',
            'Hernia',
            'Infiltration',
            'Mass',
            'Nodule',
            'Pneumothorax',
        )
    ]
    sources = tuple(
        f'St. Somebody’s general hospital of the northern trust, site {i}' for i in range(40)
    )
    return survey(
        per_class=(90,) * 12,
        labels=tuple(labels),
        sources=sources,
        pairs=0,
        multilabel=True,
        split_kind='by image',
        skipped=[
            (f'{labels[0]}/image-{i}.dcm', 'It is compressed in a way that cannot be read.')
            for i in range(9)
        ],
    )
