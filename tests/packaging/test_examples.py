"""Python that the documentation shows runs as it stands there."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples

DOCS = Path(__file__).parents[2] / 'docs'


@pytest.mark.slow
def test_scoring_from_python(tmp_path):
    for k, label in enumerate(('opacity', 'no opacity', 'no_opacity')):
        (tmp_path / 'images' / label).mkdir(parents=True)
        for i in range(2):
            chest = samples.phantom((160, 150), seed=2 * k + i)
            image = (255 * chest).astype(np.uint8)
            iio.imwrite(tmp_path / 'images' / label / f'{i}.png', image)
    (code,) = re.findall(r'```python\n(.*?)```', (DOCS / 'scoring.md').read_text('utf-8'), re.S)
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(' scored ') == 6, done.stdout
    assert re.search(r'^AUC \d\.\d{3}$', done.stdout, re.M), done.stdout
    assert (tmp_path / 'scores.csv').is_file()


@pytest.mark.slow
def test_the_readme_in_python(tmp_path):
    samples.write_phantom_dicom(tmp_path / 'film.dcm', shape=(320, 320))
    (tmp_path / 'folder').mkdir()
    samples.write_phantom_dicom(tmp_path / 'folder' / 'one.dcm', shape=(320, 320), seed=1)
    page = (DOCS.parent / 'README.md').read_text('utf-8')
    (code,) = re.findall(r'## In Python\n\n```python\n(.*?)```', page, re.S)
    code += 'assert len(table) == 1 and list(maps) == list(result.probabilities)\n'
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "{'opacity': 0." in done.stdout


def install_example(folder, page):
    """Write the package of the page into a folder as pip would."""
    (pyproject,) = re.findall(r'```toml\n(.*?)```', page, re.S)
    for name, code in re.findall(r'`(cxr_example/\w+\.py)`:\n\n```python\n(.*?)```', page, re.S):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding='utf-8')
    project = tomllib.loads(pyproject)['project']
    info = folder / 'cxr_example-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {project["name"]}\nVersion: 1.0\n'
    )
    groups = (
        f'[{group}]\n' + ''.join(f'{name} = {value}\n' for name, value in entries.items())
        for group, entries in project['entry-points'].items()
    )
    (info / 'entry_points.txt').write_text('\n'.join(groups))


@pytest.mark.slow
def test_extending(tmp_path):
    page = (DOCS / 'extending.md').read_text('utf-8')
    install_example(tmp_path / 'site', page)
    samples.write_phantom_dicom(tmp_path / 'film.dcm', shape=(320, 320))
    random = np.random.default_rng(0)
    for label, side in (('normal', slice(None, 20)), ('pneumonia', slice(20, None))):
        (tmp_path / 'images' / label).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(60, 120, (40, 40), dtype=np.uint8)
            pixels[:, side] += 90
            iio.imwrite(tmp_path / 'images' / label / f'{number}.png', pixels)
    (tmp_path / 'runs').mkdir()
    (code,) = re.findall(r'## Using them\n\n```python\n(.*?)```', page, re.S)
    (tmp_path / 'use.py').write_text(code, encoding='utf-8')
    paths = (str(tmp_path / 'site'), os.environ.get('PYTHONPATH', ''))
    done = subprocess.run(
        [sys.executable, 'use.py'],
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / 'film.csv').read_text().splitlines()
    assert table[0] == 'label,probability,strongest' and len(table) == 3
    assert all(float(row.split(',')[2]) >= 0 for row in table[1:])
    picture = iio.imread(tmp_path / 'heatmap.png')
    assert picture.shape == (320, 320, 3)
    assert 'network = "small_cnn"' in (tmp_path / 'runs' / 'small' / 'recipe.toml').read_text()
