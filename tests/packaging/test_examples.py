"""Python that the documentation shows runs as it stands there."""

import re
import subprocess
import sys
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
