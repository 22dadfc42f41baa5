"""The sweep `transfer`, the script that runs it, and what the page has from it."""

import csv
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from labelled_images import write_image, write_table

from napari_cxr.training import recipe as recipes
from napari_cxr.training.sweep import Sweep, SweepRun, find

ROOT = Path(__file__).parents[2]
STARTS = ('frozen', 'tuned', 'scratch')
BASES = {'nova': 'nova-vgg16', 'kth': 'kth-covid-or-not', 'sagar': 'sagar-resnet50'}
#: What every run changes: the stand-in, its size, and the classes that a source has both of.
EVERYWHERE = {
    'name', 'network', 'epochs', 'data.classes', 'split.method',
    'input.height', 'input.width', 'input.mean', 'input.std',
}  # fmt: skip


@pytest.fixture(scope='module')
def transfer():
    sys.path.insert(0, str(ROOT / 'scripts'))
    import transfer

    yield transfer
    sys.path.remove(str(ROOT / 'scripts'))


def changes(paper, start):
    (run,) = (run for run in find('transfer').runs if run.name == f'{paper}-{start}')
    found = recipes.find(BASES[paper]).differences(run.recipe)
    return run.recipe, {name: value for name, value in found.items() if name not in EVERYWHERE}


def test_three_papers_by_three_starts():
    runs = find('transfer').runs
    assert [run.name for run in runs] == [f'{paper}-{s}' for paper in BASES for s in STARTS]
    assert {run.recipe.network for run in runs} == {'tf_efficientnet_lite0'}
    assert all(run.recipe.data.classes.keys() == {'normal', 'pneumonia'} for run in runs)


def test_nothing_else_of_the_papers_recipes_is_changed():
    scratch = {
        'weights': 'random', 'freeze.up_to': 'nothing', 'optimiser.learning_rate': 1e-3,
    }  # fmt: skip
    assert changes('nova', 'frozen')[1] == {}
    assert changes('nova', 'tuned')[1] == {'freeze.up_to': 'nothing'}
    assert changes('nova', 'scratch')[1] == scratch
    plain = {f'augmentation.{name}' for name in ('rotation', 'shift', 'zoom', 'only', 'doubled')}
    for start, more in (
        ('frozen', {'freeze.thaw_after'}),
        ('tuned', set()),
        ('scratch', {'weights', 'freeze.up_to', 'freeze.thaw_after', 'freeze.rate'}),
    ):
        recipe, found = changes('kth', start)
        assert found.keys() == plain | more and not recipe.augmentation.changes
    assert changes('sagar', 'frozen')[1] == {'freeze.up_to': 'everything'}
    assert changes('sagar', 'tuned')[1] == {'freeze.up_to': 'stage5'}
    assert changes('sagar', 'scratch')[1] == scratch
    for start in STARTS:  # hue, saturation and value are not for the weights' normalisation
        assert changes('sagar', start)[0].input.std == (1.0, 1.0, 1.0)


@pytest.fixture
def cxr3(tmp_path):
    """Three sources, one of which is not asked for."""
    rows = []
    for i in range(36):
        source = ('kermany', 'nih', 'hannover')[i % 3]
        label = ('normal', 'pneumonia')[i // 3 % 2]
        write_image(tmp_path / 'cxr3' / label / f'{i}.png', ('left', 'right')[i // 3 % 2], i)
        rows.append({
            'path': f'{label}/{i}.png', 'label': label, 'patient_id': f'{i}', 'source': source,
            'split': ('train', 'val', 'test')[i // 6 % 3],
        })  # fmt: skip
    write_table(tmp_path / 'cxr3' / 'manifest.csv', rows)
    return tmp_path / 'cxr3'


def test_of_the_other_source_only_test_images_are_there(transfer, cxr3, tmp_path):
    path = transfer.table_of(cxr3, 'nih', tmp_path / 'out')
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert {row['split'] for row in rows if row['source'] == 'kermany'} == {'test'}
    assert {row['split'] for row in rows if row['source'] == 'nih'} == {'train', 'val', 'test'}
    assert {row['source'] for row in rows} == {'kermany', 'nih'}
    assert all(Path(row['path']).is_file() for row in rows)


def test_runs_are_made_read_and_kept_when_it_starts_again(
    transfer, cxr3, tmp_path, monkeypatch, recipe
):
    small = recipe.with_changes({
        'name': 'transfer-nova-scratch', 'epochs': 1, 'batch': 2, 'selection.average': 0.0,
        'split.method': 'given', 'data.duplicates': False,
    })  # fmt: skip
    plan = Sweep('transfer', small, (SweepRun('nova-scratch', small),))
    monkeypatch.setattr(transfer, 'find', lambda name: plan)
    images = transfer.table_of(cxr3, 'kermany', tmp_path / 'runs')
    for _ in range(2):
        transfer.run_all('transfer', images, tmp_path / 'runs' / 'kermany')
    found = transfer.read('transfer', tmp_path / 'runs' / 'kermany')
    run = found['nova-scratch']
    assert run['images'] == {'all': 8, 'kermany': 4, 'nih': 4}
    assert len(run['validation']) == 1 and run['best_epoch'] == 1
    assert run['split'] == 'test, by patient'
    assert len(run['auc']['nih']) == 3 and len(run['baselines']['format only']['nih']) == 3


def figures(area, above=0.1):
    spread = [area, area - 0.05, area + 0.05]
    difference = [above + 0.05, above, above + 0.1]
    return {
        'validation': [0.5, 0.6, 0.7, 0.8, 0.8],
        'images': {'kermany': 191, 'nih': 250},
        'auc': {'kermany': spread, 'nih': spread},
        'baselines': {
            name: {'kermany': [0.5, 0.4, 0.6], 'nih': [0.55, 0.45, 0.65]}
            for name in ('format only', 'format and grey levels')
        },
        'above': {
            'format only': {'kermany': difference, 'nih': difference},
            'format and grey levels': {'kermany': [0.3, 0.2, 0.4], 'nih': [0.0, -0.1, 0.1]},
        },
    }


def test_table_and_curves(transfer):
    found = {
        'kermany': {'nova-frozen': figures(0.9), 'kth-tuned': figures(0.8, above=-0.01)},
        'nih': {'nova-frozen': figures(0.7)},
    }
    lines = transfer.table(found).splitlines()
    assert 'kermany, judged on nih (250)' in lines[0]
    (frozen,) = (line for line in lines if line.startswith('| NOVA | frozen'))
    assert frozen.split(' | ')[2:] == [
        '5',
        '**.900 [.850, .950]**',  # above both baselines
        '.900 [.850, .950]',  # not above both of nih's
        '.700 [.650, .750]',
        '**.700 [.650, .750]** |',
    ]
    (tuned,) = (line for line in lines if line.startswith('| KTH | fine-tuned'))
    assert '**' not in tuned and tuned.count('not run') == 2
    assert lines[-1].startswith('| no anatomy | format and grey levels |  | .500 [.400, .600]')
    (curve,) = (line for line in transfer.curves(found).splitlines() if 'NOVA | frozen' in line)
    assert curve == '| NOVA | frozen | .500 | +.100 | .800 | .500 | +.100 | .800 |'


def test_table_of_covid19(transfer):
    def run(area, above):
        found = figures(area, above)
        for part in (found['auc'], *found['baselines'].values(), *found['above'].values()):
            part['all'] = part['kermany']
        return found | {'images': {'all': 99}}

    runs = {
        'nova-frozen': run(0.9, 0.1),
        'nova-frozen-left-out/without-hannover-nih': run(0.6, -0.2),
        'kth-frozen': run(0.8, 0.1),
    }
    lines = transfer.covid19({'covid19': runs}).splitlines()
    assert lines[0].endswith('| all sources mixed (99) | hannover and nih, left out (99) |')
    assert lines[2] == '| NOVA | frozen | 5 | **.900 [.850, .950]** | .600 [.550, .650] |'
    assert lines[3] == '| KTH | frozen | 5 | **.800 [.750, .850]** | not run |'
    assert lines[4] == '| no anatomy | format only |  | .500 [.400, .600] | .500 [.400, .600] |'


def test_covid19_is_asked_as_the_papers_ask():
    for run in find('transfer-covid19').runs:
        paper, start = run.name.split('-')[:2]
        found = recipes.find(BASES[paper]).differences(run.recipe)
        assert 'data.classes' not in found and 'augmentation.doubled' not in found
        assert found.keys() <= (EVERYWHERE | {'split.left_out', 'weights', 'freeze.up_to',
            'freeze.thaw_after', 'optimiser.learning_rate'})  # fmt: skip
        assert (run.recipe.weights == 'pretrained') == (start != 'scratch')


def test_the_drawing_has_a_line_for_each_run(transfer):
    found = {'kermany': {'nova-frozen': figures(0.9)}, 'nih': {'kth-tuned': figures(0.8)}}
    root = ElementTree.fromstring(transfer.drawing(found))
    lines = root.findall('.//{*}polyline')
    assert len(lines) == 2
    points = [tuple(map(float, point.split(','))) for point in lines[0].get('points').split()]
    # From .5 to .8 on an axis from .4 to 1 of 150 pixels, over five epochs of 220.
    assert points == [(0, 125), (55, 100), (110, 75), (165, 50), (220, 50)]


def test_the_command_makes_page_and_drawing_from_runs(transfer, tmp_path, monkeypatch):
    """As the page has them: its table's first columns, and its places for both tables."""
    page = (ROOT / 'docs' / 'papers.md').read_text('utf-8')
    (tmp_path / 'docs' / 'images').mkdir(parents=True)
    (tmp_path / 'docs' / 'papers.md').write_text(page, 'utf-8')
    both = {'kermany': {'nova-frozen': figures(0.9)}, 'nih': {'nova-frozen': figures(0.8)}}
    monkeypatch.setattr(transfer, 'DOCS', tmp_path / 'docs')
    monkeypatch.setattr(transfer, 'read', lambda name, folder: both.get(folder.name, {}))
    monkeypatch.setattr(sys, 'argv', ['transfer.py', 'cxr3', 'runs', '--only-read'])
    transfer.main()
    made = (tmp_path / 'docs' / 'papers.md').read_text('utf-8')
    assert transfer.table(both) in made and transfer.curves(both) in made
    head, *_ = transfer.curves(both).splitlines()
    assert head in page and '| no anatomy | format only |' in page
    assert '<polyline' in (tmp_path / 'docs' / 'images' / 'transfer.svg').read_text('utf-8')
    assert len((ROOT / 'docs' / 'images' / 'transfer.svg').read_text('utf-8')) < 20_000
