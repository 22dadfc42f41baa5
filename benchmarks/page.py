"""Run the benchmarks and write what they measured to ``docs/benchmarks.md``.

    NAPARI_CXR_DATA=... python benchmarks/page.py [PART]... [--other CHECKOUT] [--out PAGE]

Nothing else should run on the machine. Parts that were measured before, and are not named, keep
what stands for them in ``benchmarks/measured.json``; so one part can be taken anew, and a run
that was stopped goes on. The whole takes about an hour on two cores.

CHECKOUT is another version of napari-cxr, for the parts that are held against one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ratios import KEPT

HERE = Path(__file__).parent
MEASURED = HERE / 'measured.json'
PAGE = HERE.parent / 'docs' / 'benchmarks.md'

_SCREEN = 'xvfb-run -a -s "-screen 0 1600x1000x24"'

#: The parts: a heading, and the command from the repository's root. OTHER is a checkout.
PARTS = {
    'first_answer': ('Commands, beside another version', 'first_answer.py --other OTHER'),
    'first_row': ('The first row of a folder', 'first_row.py'),
    'first_click': (
        'The first click in a fresh napari, beside another version',
        'first_click.py --other OTHER',
    ),
    'second_click': ('Another click', 'second_click.py'),
    'one_image': ('One image, in Python', 'one_image.py'),
    'reading': (
        'Reading one radiograph, beside another version',
        'reading.py --other OTHER',
    ),
    'folder': ('A folder', 'folder_speed.py --each 8 --jpegs 300'),
    'study_index': ('The study browser', 'study_index.py'),
    'window_drag': ('Windowing by drag', 'window_drag.py'),
    'frozen': ('Training with a frozen backbone', 'training_speed.py frozen --each 60'),
    'tuning': ('Full fine-tuning', 'training_speed.py tuning changes --each 60'),
    'growth': ('How cost grows with the number of paths', 'growth.py listing score'),
    'dask': ('A Dask cluster on one machine', 'growth.py dask'),
    'sizing': ('What a million studies take', 'sizing.py'),
}
_WITH_SCREEN = {'first_click', 'second_click', 'window_drag'}
_ONE_THREAD = {'one_image', 'reading', 'frozen', 'sizing'}
_LIBRARIES = ('numpy', 'torch', 'torchvision', 'onnxruntime', 'pydicom', 'napari')


#: Why a ratio may miss its aim, by how what was measured begins.
_WHY = {
    'classify FILE, memory': (
        'ONNX Runtime, numpy, scipy and pydantic, which the command line’s own library imports, '
        'and a decoder beside them, are held whatever the model is.'
    ),
    'the first click on Classify': (
        'the layers of heatmap and field of view, which napari makes at the first click, take '
        'most of it; they were not timed in the other version.'
    ),
    'a second click on Classify': (
        'handing the pixels to another process and changing napari’s layer take milliseconds, '
        'which count where a file is decoded in as few.'
    ),
    'predict, ': (
        'the network that finds the lungs, in numpy, takes one and a half passes, both directions '
        'take two, and all pixels are looked at three times: for the lungs, for the frontal '
        'check, and for the network’s input.'
    ),
    'opening ': (
        'of the second opening more than half is the system’s time for listing the folder and '
        'for the size and time of each file, which the first opening needs, too.'
    ),
    'score until the first row': (
        'the process, its libraries, the network and the decoders have to start first.'
    ),
    'a folder of': (
        'batches start only once their files are decoded, arrays travel between processes, and '
        'batches and decoders that share cores take the caches from one another.'
    ),
    'torchxrayvision': (
        'OpenJPEG decodes JPEG 2000 for both, here at a part of its size; of JPEG-LS, RLE and '
        'uncompressed files all pixels have to be decoded.'
    ),
    'images a second of full fine-tuning, ours, float32': (
        'nine tenths of a step are convolutions, which oneDNN computes on both sides at nearly '
        'the rate at which the cores multiply in single precision. The memory format '
        'channels_last and memory that is kept make a step 1.2 to 1.3 times as fast; decoding '
        'once and augmenting by batch are the rest.'
    ),
    'the pass with a frozen backbone': (
        'AVX-512 multiplies bfloat16 at twice the rate of single precision, and training images '
        'went through the backbone in it before, too; validation images do so in single '
        'precision, by which models are chosen. OpenVINO took a tenth less time here; on '
        'processors with AMX it would be two to three times as fast, and none was at hand.'
    ),
    'fitting all pixels': (
        'what is left is one product of matrices over all pixels, and turning integers into '
        'floats for it.'
    ),
    'reading JPEG-LS': (
        'CharLS decodes it in both versions, one pixel after the other; by imagecodecs, which '
        'has a newer CharLS, it took an eighth less.'
    ),
}


_INTRODUCTION = (
    'Written by `python benchmarks/page.py`. Every number is a ratio of two things that took '
    'turns in one run, so it says something about other machines, too: the median, and in '
    'brackets the smallest and the greatest of the turns. Where a unit stands with it, it is no '
    'ratio and holds for this machine only. What is measured stands in the '
    'benchmark itself, and longer accounts, with what did not help, in '
    '[benchmarks/README.md](../benchmarks/README.md). Nothing of this is a test.'
)


def main() -> None:
    """Measure what is missing or named, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='*', help=f'{", ".join(PARTS)}; what is missing if none')
    parser.add_argument('--other', type=Path)
    parser.add_argument('--out', type=Path, default=PAGE)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f'there is no part {", ".join(sorted(unknown))}')
    measured: dict[str, Any] = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for part in options.parts or [part for part in PARTS if part not in measured]:
        command = PARTS[part][1]
        if 'OTHER' in command and options.other is None:
            print(f'{part} needs --other, and is left out', file=sys.stderr)
            continue
        if found := measure(part, options.other):
            measured[part] = found
            MEASURED.write_text(json.dumps(measured, indent=1) + '\n')
    options.out.write_text(page(measured), encoding='utf-8')


def measure(part: str, other: Path | None) -> dict[str, Any]:
    """Run one part; return its ratios, or nothing if it failed, which is said."""
    words = shlex.split(PARTS[part][1].replace('OTHER', shlex.quote(str(other))))
    command = [sys.executable, str(HERE / words[0]), *words[1:]]
    if part in _WITH_SCREEN and sys.platform == 'linux':
        command = [*shlex.split(_SCREEN), *command]
    env = dict(os.environ)
    if part in _ONE_THREAD:
        env |= {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / 'ratios.jsonl'
        print(f'-- {part}', flush=True)
        done = subprocess.run(command, env=env | {KEPT: str(kept)}, check=False)
        if done.returncode or not kept.exists():
            print(f'{part} failed, and keeps what it had', file=sys.stderr)
            return {}
        ratios = [json.loads(line) for line in kept.read_text().splitlines()]
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else float('nan')
    commit = ''
    if other is not None and 'OTHER' in PARTS[part][1]:
        asked = ['git', '-C', str(other), 'rev-parse', '--short', 'HEAD']
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return {
        'date': time.strftime('%Y-%m-%d'),
        'machine': machine(),
        'load': round(load, 1),
        'other': commit,
        'ratios': ratios,
    }


def machine() -> str:
    """Return the processor, its cores, and the versions of what does the work."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        name = next(x.partition(':')[2].strip() for x in lines if x.startswith('model name'))
    except (OSError, StopIteration):
        pass
    libraries = ', '.join(f'{library} {version(library)}' for library in _LIBRARIES)
    return f'{os.cpu_count()} cores of {name}; Python {platform.python_version()}, {libraries}'


def page(measured: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    lines = [
        '# Benchmarks',
        '',
        _INTRODUCTION,
    ]
    for part, (heading, command) in PARTS.items():
        lines += ['', f'## {heading}', '']
        found = measured.get(part)
        if found is None:
            lines.append('Not measured yet.')
            continue
        shown = command.replace('OTHER', 'CHECKOUT')
        lines += [
            f'`python benchmarks/{shown}`, {found["date"]}, {found["machine"]}'
            + (f'; CHECKOUT is commit {found["other"]}' if found['other'] else '')
            + '.',
            '',
            '| what | over | ratio | aim | met |',
            '| --- | --- | ---: | --- | --- |',
        ]
        lines += [row(ratio) for ratio in found['ratios']]
        missed = [sentence for ratio in found['ratios'] if (sentence := shortfall(ratio))]
        lines += ['', *missed] if missed else []
    return '\n'.join(lines) + '\n'


def row(ratio: dict[str, Any]) -> str:
    """Return one line of a table."""
    values = ratio['values']
    middle = statistics.median(values)
    spread = f' ({number(min(values))} to {number(max(values))})' if len(values) > 1 else ''
    unit = f' {ratio["unit"]}' if ratio.get('unit') else ''
    sign, _, aim = ratio['aim'].partition(' ')
    met = ('no' if shortfall(ratio) else 'yes') if aim else ''
    words = {'<=': 'at most', '>=': 'at least', '': ''}[sign]
    return (
        f'| {ratio["what"]} | {ratio["over"]} | {number(middle)}{unit}{spread} | '
        f'{f"{words} {aim}".strip()} | {met} |'
    )


def shortfall(ratio: dict[str, Any]) -> str:
    """Return by how much a ratio misses its aim, and why; empty where it has none or meets it."""
    sign, _, aim = ratio['aim'].partition(' ')
    middle = statistics.median(ratio['values'])
    if not aim or (middle <= float(aim) if sign == '<=' else middle >= float(aim)):
        return ''
    beyond = abs(middle / float(aim) - 1)
    side = 'above' if sign == '<=' else 'below'
    why = next((why for what, why in _WHY.items() if ratio['what'].startswith(what)), '')
    because = f': {why}' if why else '; why was not found out.'
    return f'- {ratio["what"]}: {100 * beyond:.0f} % {side} the aim{because}'


def number(value: float) -> str:
    """Return a ratio to three digits."""
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


if __name__ == '__main__':
    main()
