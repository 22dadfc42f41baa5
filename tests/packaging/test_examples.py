"""Python that the documentation shows runs as it stands there."""

import csv
import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_cxr import image_tables, samples
from napari_cxr.cli import app

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


@pytest.fixture(scope='module')
def tables_page():
    return (DOCS / 'tables.md').read_text('utf-8')


def test_the_page_on_tables_names_all_columns_and_all_entries(tables_page):
    from napari_cxr.training.recipe import Recipe

    def entries(value, prefix=''):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if dataclasses.is_dataclass(inner):
                yield from entries(inner, f'{prefix}{field.name}.')
            else:
                yield f'{prefix}{field.name}'

    small = {'name': 'x', 'network': 'resnet10', 'input': {'height': 9, 'width': 9}}
    section = tables_page.partition('## Entries of a recipe')[2].partition('\n## ')[0]
    named = re.findall(r'^\| `([\w.]+)` \|', section, re.M)
    assert sorted(entries(Recipe.from_dict(small))) == sorted(named)
    for accepted in image_tables.COLUMN_NAMES.values():
        assert ', '.join(f'`{name}`' for name in accepted) in tables_page
    assert all(f'--{what}-column' in tables_page for what in image_tables.CHOSEN_COLUMNS)


def test_the_toml_and_the_commands_of_the_page_on_tables_are_valid(tables_page):
    from napari_cxr.training.recipe import DataRecipe
    from napari_cxr.training.sweep import Sweep

    classes, sweep = re.findall(r'```toml\n(.*?)```', tables_page, re.S)
    DataRecipe(**tomllib.loads(classes)['data'])
    runs = Sweep.from_toml(sweep).runs
    rates = [(run.recipe.optimiser.learning_rate, run.recipe.epochs) for run in runs]
    assert sorted(rates) == [(1e-4, 5), (1e-4, 10), (1e-3, 5), (1e-3, 10)]
    known = typer.main.get_command(app).commands
    lines = ''.join(re.findall(r'```sh\n(.*?)```', tables_page, re.S)).splitlines()
    commands = [line.partition('napari-cxr ')[2] for line in lines if 'napari-cxr ' in line]
    assert len(commands) == 4
    for command in commands:
        name, *words = shlex.split(command)
        options = {option for param in known[name].params for option in param.opts}
        assert {word for word in words if word.startswith('--')} <= options, command


def write_films(folder, count, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        chest = (255 * samples.phantom((160, 150), seed=i)).astype(np.uint8)
        iio.imwrite(folder / f'{i}.png', chest)


@pytest.mark.slow
def test_the_line_for_cron_runs_every_night(tables_page, tmp_path, monkeypatch):
    (line,) = re.findall(r'^0 2 \* \* \* (cd .*)$', tables_page, re.M)
    place, command = line.split(' && ')
    assert place == 'cd /data' and '%' not in line
    command, log = command.split(' >> ')
    assert log == 'scores.log 2>&1'
    monkeypatch.chdir(tmp_path)
    write_films(tmp_path / 'incoming', 2)

    def night():
        ended = CliRunner().invoke(app, shlex.split(command)[1:])
        assert ended.exit_code == 0, ended.output
        with open('scores.csv', newline='') as file:
            return list(csv.DictReader(file))

    first = night()
    assert [Path(row['path']).name for row in first] == ['0.png', '1.png']
    write_films(tmp_path / 'incoming', 1, start=2)
    second = night()
    assert second[:2] == first and Path(second[2]['path']).name == '2.png'
    assert night() == second  # nothing is new


@pytest.mark.slow
def test_the_lines_for_jq(tables_page, tmp_path, findings_file):
    if shutil.which('jq') is None:
        pytest.skip('jq is not installed')
    (block,) = re.findall(r'```sh\n(jq .*?)```', tables_page, re.S)
    for k, label in enumerate(('opacity', 'no opacity')):
        write_films(tmp_path / 'images' / label, 2, start=2 * k)
    (tmp_path / 'images' / 'opacity' / 'broken.png').write_text('<html>')
    words = ['score', tmp_path / 'images', '--out', tmp_path / 'scores.jsonl']
    words += ['--labels', 'folders', '--include-doubtful', '--device', 'cpu']
    words += ['--model', findings_file(['opacity'], [0.9])]
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 1, ended.output  # for the broken one
    said = [
        subprocess.run(
            shlex.split(line), cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for line in block.splitlines()
    ]
    failed, found, doubtful, area = said
    assert failed.startswith(str(tmp_path / 'images' / 'opacity' / 'broken.png') + '\t')
    rows = [json.loads(line) for line in (tmp_path / 'scores.jsonl').read_text().splitlines()]
    likely = [row['path'] for row in rows if (row['p_opacity'] or 0) > 0.5]
    assert found.splitlines() == likely and likely
    assert doubtful.splitlines() == [row['path'] for row in rows if row['doubtful'] == 1]
    stored = json.loads((tmp_path / 'scores.metrics.json').read_text())
    assert float(area) == stored['metrics']['macro_auc'][0]


@pytest.mark.slow
def test_the_lines_for_a_notebook(tables_page, tmp_path, monkeypatch):
    """A notebook's kernel runs a cell as IPython does here."""
    interactive = pytest.importorskip('IPython.core.interactiveshell')
    (code,) = re.findall(r'```python\n(.*?)```', tables_page, re.S)
    for k, label in enumerate(('opacity', 'no opacity')):
        write_films(tmp_path / 'images' / label, 2, start=2 * k)
    monkeypatch.chdir(tmp_path)
    done = interactive.InteractiveShell().run_cell(code)
    assert done.success
    assert list(done.result.index) == ['no opacity', 'opacity']
    assert list(done.result['count']) == [2, 2]
