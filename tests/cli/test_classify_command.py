import json
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cxr import samples
from napari_cxr.cli import app
from napari_cxr.dicom import privacy


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / 'secret')

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return invoke


@pytest.fixture
def radiographs(tmp_path):
    """A DICOM file and a PNG with the same small chest."""
    pixels = (255 * samples.phantom((160, 140), seed=4)).astype(np.uint8)
    iio.imwrite(tmp_path / 'a.png', pixels)
    samples.write_phantom_dicom(tmp_path / 'b', shape=(160, 140), seed=4)
    return [tmp_path / 'a.png', tmp_path / 'b']


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_classify_prints_an_object_a_line(run, radiographs, model_file):
    result = run('classify', *radiographs, '--model', model_file, '--device', 'cpu', '--json')
    assert result.exit_code == 0, result.output
    for row, path in zip(lines(result), radiographs, strict=True):
        assert row['path'] == str(path) and row['model'] == 'tiny'
        assert row['lungs'] == ''  # this model ignores them
        assert row['label'] == max(row['probabilities'], key=row['probabilities'].get)
        assert sum(row['probabilities'].values()) == pytest.approx(1)
        assert isinstance(row['warnings'], list)


def test_status_1_if_a_file_fails_and_the_others_are_classified(
    run, radiographs, model_file, tmp_path
):
    (tmp_path / 'text.dcm').write_text('<html>')
    result = run(
        'classify', tmp_path / 'text.dcm', tmp_path / 'none.png', *radiographs,
        '--model', model_file, '--json',
    )  # fmt: skip
    assert result.exit_code == 1
    first, second, *others = lines(result)
    assert 'web page' in first['error'] and set(first) == {'path', 'error'}
    assert 'no such file' in second['error'].lower()
    assert all('label' in row for row in others)


@pytest.mark.parametrize(
    'wrong',
    [
        ['classify'],
        ['classify', 'x.png', '--model', 'no-such-model'],
        ['classify', 'x.png', '--device', 'abacus'],
        ['classify', 'x.png', '--colour'],
        ['info'],
        ['train', '.', '--recipe', 'no-such-recipe', '--out', 'run'],
        ['train', '.', '--out', 'run'],
        ['train', '.', '--recipe', 'zhong'],
        ['train', '.', '--recipe', 'zhong', '--out', 'run', '--set', 'epochs'],
        ['train', '.', '--recipe', 'zhong', '--out', 'run', '--set', 'epochs=[1'],
        ['train', '.', '--recipe', 'zhong', '--out', 'run', '--set', 'epoch=1'],
        ['train', '.', '--recipe', 'zhong', '--out', 'run', '--resume'],
        ['train', '.', '--out', 'run', '--resume', '--set', 'epochs=1'],
        ['sweep', '.', '--sweep', 'no-such-sweep', '--out', 'run'],
        ['sweep', '.', '--out', 'run'],
        ['sweep', '.', '--out', 'run', '--resume'],
        ['recipes', '--classes', '1'],
        ['recipes', 'show', 'no-such-recipe'],
        ['models', 'show', 'no-such-model'],
        ['runs'],
        ['runs', 'nowhere'],
        ['dance'],
    ],
)
def test_status_2_for_wrong_usage(run, wrong, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = run(*wrong)
    assert result.exit_code == 2
    assert result.stdout == ''


def test_heatmaps_are_saved_as_pictures_and_numbers(run, radiographs, model_file, tmp_path):
    out = tmp_path / 'maps'
    result = run('classify', *radiographs, '--model', model_file, '--heatmap', out, '--json')
    assert result.exit_code == 0, result.output
    for row in lines(result):
        picture = iio.imread(row['heatmap'])
        assert picture.shape == (160, 140, 3)
        with np.load(row['heatmap'].removesuffix('png') + 'npz') as numbers:
            assert numbers['normal'].shape == (4, 4)
            assert numbers['to_radiograph'].shape == (3, 3)
        assert row['heatmap_frame_share'] is None or 0 <= row['heatmap_frame_share'] <= 1
        assert row['heatmap_lung_share'] is None or 0 <= row['heatmap_lung_share'] <= 1
        assert 0 < row['heatmap_lung_share_if_even'] < 1
        assert row['lung_field'] in ('network', 'atlas')


def test_heatmaps_by_another_method_and_in_contrast(run, radiographs, model_file, tmp_path):
    words = ['classify', radiographs[0], '--model', model_file, '--json', '--heatmap', tmp_path]
    result = run(*words, '--method', 'integrated-gradients', '--against', 'normal')
    assert result.exit_code == 0, result.output
    (row,) = lines(result)
    assert row['heatmap_method'] == 'Integrated gradients'
    with np.load(row['heatmap'].removesuffix('png') + 'npz') as numbers:
        assert numbers['normal'].max() == 0
        assert {value.shape for value in numbers.values()} == {(3, 3), (28, 28)}


@pytest.mark.parametrize(
    'wrong, message',
    [
        (['--method', 'Occlusion'], 'add --heatmap'),
        (['--method', 'CAM', '--heatmap', 'maps'], "There is no explanation method 'CAM'"),
        (
            ['--against', 'fracture', '--heatmap', 'maps'],
            "cannot contrast a class with 'fracture'",
        ),
    ],
)
def test_a_method_that_cannot_be_used(run, radiographs, model_file, wrong, message):
    result = run('classify', radiographs[0], '--model', model_file, *wrong)
    assert result.exit_code == 2
    assert message in ' '.join(result.output.replace('│', ' ').split())


@pytest.mark.parametrize('name', ['torch channels_last', 'OpenVINO'])
def test_a_backend_that_is_asked_for_runs_single_images_too(
    run, radiographs, model_file, monkeypatch, name
):
    from napari_cxr.inference.backends.backend import find_backend, why_unavailable
    from napari_cxr.inference.classifier import Classifier

    if reason := why_unavailable(find_backend(name), 'cpu'):
        pytest.skip(reason)
    words = ['classify', radiographs[0], '--model', model_file, '--device', 'cpu', '--json']
    plain = json.loads(run(*words).stdout)
    real, used = Classifier.use, []
    monkeypatch.setattr(
        Classifier,
        'use',
        lambda self, backend, network: used.append(backend.name) or real(self, backend, network),
    )
    result = run(*words, '--backend', name)
    assert result.exit_code == 0, result.output
    assert used == [name]
    found = json.loads(result.stdout)
    for label, p in plain['probabilities'].items():
        assert found['probabilities'][label] == pytest.approx(p, abs=1e-3)
    assert run(*words, '--backend', 'fast').exit_code == 2


@pytest.mark.parametrize('heatmap', [False, True])
def test_several_frames_are_refused_with_or_without_a_heatmap(run, tmp_path, model_file, heatmap):
    iio.imwrite(tmp_path / 'two.tif', np.zeros((2, 60, 70), np.uint8))
    more = ['--heatmap', tmp_path / 'maps'] if heatmap else []
    result = run('classify', tmp_path / 'two.tif', '--model', model_file, *more, '--json')
    assert result.exit_code == 1 and 'network looks at one image' in lines(result)[0]['error']


def test_what_speaks_against_an_image_stands_before_its_figures(run, tmp_path, model_file):
    photograph = np.tile(np.arange(0, 250, 2, dtype=np.uint8), (125, 1))
    iio.imwrite(tmp_path / 'ramp.png', photograph)
    result = run('classify', tmp_path / 'ramp.png', '--model', model_file)
    assert result.exit_code == 0, result.output
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith(f'{tmp_path / "ramp.png"}: WARNING: This does not look like')
    assert '%' not in first and '%' in second
    assert result.stdout.count('does not look like') == 1
    (row,) = lines(run('classify', tmp_path / 'ramp.png', '--model', model_file, '--json'))
    assert [doubt['code'] for doubt in row['doubts']] == ['not-a-chest']
    assert list(row).index('doubts') < list(row).index('label')
    assert row['doubts'][0]['text'] in row['warnings']


def test_a_near_tie_is_no_answer(run, tmp_path, radiographs, model_file):
    from dataclasses import replace

    from napari_cxr.checkpoint import load, save

    model = load(model_file)
    path = tmp_path / 'never-sure.safetensors'
    save(path, model.tensors, replace(model.card, least_margin=1.0))
    (row,) = lines(run('classify', radiographs[0], '--model', path, '--json'))
    assert row['answer'] == 'no class stands out' and row['label'] in model.card.labels
    assert row['least_margin'] == 1 and 'points apart' in row['reason']
    told = run('classify', radiographs[0], '--model', path).stdout
    assert ': no class stands out  (' in told and row['reason'] in told


def test_the_peak_of_the_heatmap_is_told(run, tmp_path, radiographs, model_file):
    (row,) = lines(
        run('classify', radiographs[0], '--model', model_file, '--heatmap', tmp_path, '--json')
    )
    assert row['heatmap_peak_in_lung'] == (
        row['heatmap_peak_region'] in ('right lung', 'left lung')
    )
    assert 0 <= row['heatmap_half_peak_lung_fraction'] <= 1
    told = run('classify', radiographs[0], '--model', model_file, '--heatmap', tmp_path).stdout
    assert (
        f'its peak lies {"in the " * row["heatmap_peak_in_lung"]}{row["heatmap_peak_region"]}'
        in told
    )


def test_info_says_what_an_image_looks_like(run, tmp_path, radiographs):
    iio.imwrite(tmp_path / 'blank.png', np.full((80, 80), 7, np.uint8))
    result = run('info', tmp_path / 'blank.png', radiographs[1])
    assert result.exit_code == 0, result.output
    blank, chest = lines(result)
    assert blank['frontal']['likely'] == 'other'
    assert any('does not look like' in text for text in blank['warnings'])
    assert 0 < chest['lungs']['share_of_image'] < 1


def test_files_of_one_name_get_heatmaps_of_their_own(run, radiographs, model_file, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    shutil.copy(radiographs[0], other / 'a.png')
    out = tmp_path / 'maps'
    result = run(
        'classify', radiographs[0], other / 'a.png', '--model', model_file,
        '--heatmap', out, '--json',
    )  # fmt: skip
    assert len({row['heatmap'] for row in lines(result)}) == 2


def test_a_link_to_itself_is_a_row_like_others(run, radiographs, model_file, tmp_path):
    loop = tmp_path / 'loop.png'
    loop.symlink_to(loop)
    result = run('classify', loop, radiographs[0], '--model', model_file, '--json')
    assert result.exit_code == 1
    failed, scored = lines(result)
    assert 'no such file' in failed['error'].lower() and 'label' in scored


def test_a_heatmap_never_overwrites_a_radiograph(run, radiographs, model_file, tmp_path):
    shutil.copy(radiographs[0], tmp_path / 'a-heatmap.png')
    paths = [tmp_path / 'a.png', tmp_path / 'a-heatmap.png']
    before = [path.read_bytes() for path in paths]
    result = run('classify', *paths, '--model', model_file, '--heatmap', tmp_path, '--json')
    assert result.exit_code == 0 and [path.read_bytes() for path in paths] == before
    assert len({row['heatmap'] for row in lines(result)}) == 2


def test_a_card_with_wrong_preprocessing_is_wrong_usage(run, radiographs, model_file, tmp_path):
    from dataclasses import replace

    from napari_cxr.checkpoint import load, save

    model = load(model_file)
    wrong = replace(model.card, preprocessing=model.card.preprocessing | {'std': [0.0]})
    save(tmp_path / 'wrong.safetensors', model.tensors, wrong)
    result = run('classify', *radiographs, '--model', tmp_path / 'wrong.safetensors')
    assert result.exit_code == 2 and 'card of this model is wrong' in result.stderr


def test_info_says_what_a_file_is_and_not_whose(run, radiographs):
    result = run('info', *radiographs)
    assert result.exit_code == 0, result.output
    png, dicom = lines(result)
    assert png['format'] == 'PNG' and png['geometry']['spacing_mm'] is None
    assert dicom['format'] == 'DICOM' and dicom['view'] == 'PA'
    import pydicom

    header = pydicom.dcmread(radiographs[1])
    assert str(header.PatientName) not in result.stdout
    assert header.PatientID not in result.stdout
    assert header.SOPInstanceUID not in result.stdout


def test_info_status_1(run, tmp_path):
    (tmp_path / 'empty.dcm').touch()
    result = run('info', tmp_path / 'empty.dcm')
    assert result.exit_code == 1 and 'empty' in lines(result)[0]['error']


def test_demonstrations_are_listed_last_and_marked(run):
    rows = lines(run('models', '--json'))
    marked = {row['name']: row['demonstration'] for row in rows}
    assert marked['cxr3-lung-texture'] and marked['cxr3-resnet10']
    assert list(marked.values()) == sorted(marked.values())
    assert sum(row['default'] for row in rows) == 1
    text = run('models').stdout
    _, _, demonstrations = text.partition('Demonstrations:\n')
    assert 'cxr3-lung-texture (bundled' in demonstrations
    assert 'macro AUC 0.53 [0.46, 0.60]' in demonstrations


def test_one_finding_is_above_below_or_not_to_be_said(run, radiographs, findings_file):
    def said(threshold, *form, **entries):
        points = {'opacity': {'Youden': threshold}}
        model = findings_file(
            ['opacity'], [0.4], operating_points=points, decision='Youden', **entries
        )
        result = run('classify', radiographs[0], '--model', model, '--device', 'cpu', *form)
        assert result.exit_code == 0, result.output
        return result.stdout if not form else lines(result)[0]

    row = said(0.9, '--json')
    assert (row['label'], row['answer'], row['above']) == ('no opacity', 'no opacity', [])
    assert row['p_opacity'] == row['probabilities']['opacity'] and 0.2 < row['p_opacity'] < 0.6
    assert row['thresholds'] == {'opacity': 0.9} and row['negative'] == 'no opacity'
    row = said(0.01, '--json')
    assert (row['label'], row['answer'], row['above']) == ('opacity', 'opacity', ['opacity'])
    assert 'above its threshold' in row['reason']
    row = said(0.9, '--json', undecided={'opacity': [0.01, 0.95]})
    assert (row['label'], row['answer']) == ('no opacity', 'cannot say')
    text = said(0.9, undecided={'opacity': [0.01, 0.95]})
    assert ': cannot say  (opacity ' in text and 'this model does not decide' in text
    assert ': no opacity  (opacity ' in said(0.9) and 'is below its threshold' in said(0.9)


def test_of_many_findings_those_above_are_printed(run, radiographs, findings_file):
    labels = [f'finding {i}' for i in range(8)]
    p = [0.9, 0.8, *[0.1] * 6]
    model = findings_file(labels, p)
    result = run('classify', radiographs[0], '--model', model, '--device', 'cpu')
    assert ': finding 0  (finding 0 ' in result.stdout and 'finding 1 ' in result.stdout
    assert 'finding 2' not in result.stdout
    assert '2 of 8 findings are above their thresholds.' in result.stdout
    model = findings_file(labels, [0.1] * 8)
    result = run('classify', radiographs[0], '--model', model, '--device', 'cpu')
    assert ': No finding  Nothing is above its threshold.' in result.stdout


def test_a_heatmap_of_what_is_below_its_threshold(run, radiographs, findings_file, tmp_path):
    model = findings_file(['opacity'], [0.1])
    result = run(
        'classify', radiographs[0], '--model', model, '--device', 'cpu', '--json',
        '--heatmap', tmp_path / 'maps',
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (row,) = lines(result)
    assert row['label'] == 'no opacity' and Path(row['heatmap']).is_file()


def test_models_are_listed_with_their_cards(run, model_file, tmp_path, monkeypatch):
    folder = tmp_path / 'models'
    folder.mkdir()
    monkeypatch.setenv('NAPARI_CXR_MODELS', str(folder))
    shutil.copy(model_file, folder / 'tiny.safetensors')
    (folder / 'broken.safetensors').write_bytes(b'x')
    rows = {row['name']: row for row in lines(run('models', '--json'))}
    assert rows['tiny']['where'] == 'yours'
    assert rows['tiny']['card']['labels'] == ['covid19', 'normal', 'pneumonia']
    assert rows['broken']['error'] and rows['broken']['card'] is None
    assert 'tiny (yours)' in run('models').stdout


def test_a_decoder_that_dies_is_a_row(run, radiographs, model_file, monkeypatch):
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoder_pool import Decoder

    real = Decoder.read

    def read(self, path, least=None):
        if str(path).endswith('a.png'):
            raise UnreadableImage('Its data are malformed: the decoder was ended on this file.')
        return real(self, path, least)

    monkeypatch.setattr(Decoder, 'read', read)
    result = run('classify', *radiographs, '--model', model_file, '--json')
    assert result.exit_code == 1
    assert 'malformed' in lines(result)[0]['error'] and 'label' in lines(result)[1]


def test_help_and_version_cost_no_torch():
    code = (
        'import sys; from napari_cxr.cli import app\n'
        'try: app(["classify", "--help"])\n'
        'except SystemExit: pass\n'
        'sys.exit("torch" in sys.modules or "napari" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 0


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='no such device here')
@pytest.mark.parametrize('command', [['info', 'none.png'], ['--version'], ['--help']])
def test_an_output_that_cannot_be_written_is_a_sentence(command):
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            [sys.executable, '-m', 'napari_cxr.cli', *command],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == 'The output cannot be written: No space left on device.\n'


def test_every_real_dicom_radiograph_opens_or_says_why(run, cxr_data, model_file):
    paths = sorted((cxr_data / 'dicom_cxr').glob('*.dcm'))
    result = run('classify', *paths, '--model', model_file, '--json')
    rows = {row['path'].rsplit('/')[-1]: row for row in lines(result)}
    assert len(rows) == 9 and result.exit_code == 1
    assert 'damaged' in rows.pop('966.dcm')['error']
    assert all('label' in row for row in rows.values())
    liar = rows.pop('Fake_MONOHR1.dcm')
    assert any('exchanged' in text for text in liar['warnings'])
    assert not any('exchanged' in text for row in rows.values() for text in row['warnings'])


@pytest.mark.parametrize('command', [[], ['score'], ['models'], ['models', 'get']])
def test_help_has_a_short_name(run, command):
    short, long = run(*command, '-h'), run(*command, '--help')
    assert short.exit_code == 0
    assert 'Usage' in short.stdout and short.stdout == long.stdout


def test_the_package_is_the_command_too():
    done = subprocess.run(
        [sys.executable, '-m', 'napari_cxr', '--version'], capture_output=True, text=True
    )
    from napari_cxr import __version__

    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_a_demonstration_says_so_where_it_answers(run, radiographs):
    result = run('classify', radiographs[0], '--model', 'cxr3-lung-texture', '--json')
    assert result.exit_code == 0
    assert 'A demonstration, not to be believed' in result.stderr
    assert 'demonstration' not in run('classify', radiographs[0]).stderr


@pytest.mark.parametrize(
    ('words', 'variable', 'says'),
    [
        (['--decoder-memory', '-2'], '', '--decoder-memory'),
        (['--decoder-seconds', '0'], '', '--decoder-seconds'),
        ([], 'soon', 'NAPARI_CXR_DECODER_SECONDS'),
    ],
)
def test_limits_of_decoders_that_make_no_sense_are_wrong_usage(monkeypatch, words, variable, says):
    monkeypatch.setenv('NAPARI_CXR_DECODER_MEMORY', '')  # put back, whatever the command sets
    monkeypatch.setenv('NAPARI_CXR_DECODER_SECONDS', variable)
    result = CliRunner().invoke(app, [*words, 'info', 'none.png'])
    assert result.exit_code == 2 and says in result.stderr


def test_limits_of_decoders_are_options_of_every_command(monkeypatch, tmp_path):
    from napari_cxr.workers.memory_budget import DecoderLimits

    monkeypatch.setenv('NAPARI_CXR_DECODER_MEMORY', '3')
    monkeypatch.setenv('NAPARI_CXR_DECODER_SECONDS', '')
    CliRunner().invoke(app, ['--decoder-seconds', '5', 'models'])
    limits = DecoderLimits.from_environment()
    assert (limits.memory, limits.seconds) == (3_000_000_000, 5.0)


def test_of_a_folder_it_says_how_to_score_it(tmp_path, monkeypatch):
    monkeypatch.setenv('COLUMNS', '400')
    (tmp_path / 'a ward').mkdir()
    done = CliRunner().invoke(app, ['classify', str(tmp_path / 'a ward')])
    assert done.exit_code == 2
    command = f"napari-cxr score '{tmp_path / 'a ward'}' --out scores.csv"
    assert 'It is a folder. To score all images in it:' in done.output and command in done.output
