"""Recipes survive TOML, and nonsense is refused by name; the papers' are the papers'."""

from importlib import resources

import numpy as np
import pytest
from labelled_images import write_image
from PIL import Image

from napari_cxr import networks
from napari_cxr.training import Recipe, RecipeError, TrainingFinished, index, train
from napari_cxr.training import recipe as recipes


@pytest.mark.parametrize('name', recipes.names())
def test_shipped_recipes_read_write_and_name_a_network(name):
    recipe = recipes.find(name)
    assert recipe.name == name
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert recipe.network in networks.names()
    text = resources.files('napari_cxr').joinpath('recipes', f'{name}.toml').read_text('utf-8')
    assert text.startswith('# ') and recipe.title


PAPERS = {
    'Sagar, Deep Covid': ('sagar-', 4),
    'Lopes, Costa, Pereira (NOVA IMS)': ('nova-', 2),
    'Zhong': ('zhong', 1),
    'Balvinsson et al. (KTH)': ('kth-', 2),
    'Basu, Mitra, Saha (DETL)': ('detl-', 2),
}


def test_each_of_the_five_papers_has_its_recipes():
    shipped = [recipes.find(name) for name in recipes.names()]
    for paper, (start, count) in PAPERS.items():
        mine = [recipe.name for recipe in shipped if recipe.paper == paper]
        assert len(mine) == count and all(name.startswith(start) for name in mine)
    assert {recipe.paper for recipe in shipped} == {'', *PAPERS}


def test_sagars_recipe_is_the_papers():
    for name in ('resnet50', 'resnet152', 'inception-v3', 'inception-resnet-v2'):
        recipe = recipes.find(f'sagar-{name}')
        assert recipe.network == name.replace('-', '_') and recipe.input.colour == 'hsv'
        assert (recipe.head.hidden, recipe.head.dropout) == ((64,), 0.3)
        assert (recipe.optimiser.name, recipe.optimiser.learning_rate) == ('adam', 1e-4)
        assert (recipe.epochs, recipe.batch) == (20, 16)
        assert recipe.loss.name == 'binary cross-entropy' and not recipe.head.single


def test_zhongs_recipe_is_the_papers():
    recipe = recipes.find('zhong')
    assert (recipe.input.height, recipe.input.width, recipe.input.channels) == (80, 80, 3)
    assert recipe.loss.class_weights == {'covid19': 10, 'normal': 3, 'pneumonia': 1}
    assert recipe.loss.label_smoothing == 0.12
    rate, plan = recipe.optimiser.learning_rate, recipe.schedule
    # 4e-4 in epochs 0 to 2, 2e-4 in 3 to 5, 1e-4 from 6 on.
    assert [rate, *(rate * share for share in plan.shares)] == [4e-4, 2e-4, 1e-4]
    assert plan.after == (3, 6) and recipe.epochs == 12
    # 80 of 96 pixels are left.
    assert round(96 * (1 - recipe.augmentation.crop)) == 80


def test_detls_steps_are_the_papers():
    first, second = recipes.find('detl-step1'), recipes.find('detl-step2')
    assert (first.optimiser.name, first.optimiser.learning_rate) == ('adam', 1e-3)
    assert (first.schedule.name, first.epochs, first.selection.metric) == (
        'cosine',
        100,
        'accuracy',
    )
    assert (second.optimiser.name, second.optimiser.momentum) == ('sgd', 0.9)
    assert second.optimiser.learning_rate == 1e-4 and second.split.folds == 5
    assert second.input == first.input and second.network == first.network


@pytest.mark.slow
def test_detl_goes_from_two_classes_to_four(tmp_path):
    """Step 1 and step 2 on made-up images: its 12 layers learn, then only the last block."""
    small = {
        'epochs': 3, 'batch': 8, 'input.height': 44, 'input.width': 44, 'seed': 1,
        'data.duplicates': False, 'precision': 'float32',
    }  # fmt: skip
    two, four = tmp_path / 'two', tmp_path / 'four'
    for i in range(24):
        label = ('left', 'right')[i % 2]
        write_image(two / ('normal', 'pneumonia')[i % 2] / f'{i}.png', label, i)
    random = np.random.default_rng(0)
    for k, label in enumerate(('covid19', 'normal', 'other', 'pneumonia')):
        (four / label).mkdir(parents=True)
        for i in range(10):
            image = random.integers(60, 120, (48, 48))
            image[24 * (k // 2) :, 24 * (k % 2) :][:24, :24] += 90  # a bright quarter
            Image.fromarray(image.astype(np.uint8)).save(four / label / f'{i}.png')

    step1 = recipes.find('detl-step1').with_changes(small)
    ends = [
        event
        for event in train(index(two, step1.data), step1, tmp_path / 'step1', 'cpu')
        if isinstance(event, TrainingFinished)
    ]
    start = ends[-1].path
    step2 = recipes.find('detl-step2').with_changes(small | {'weights': start, 'split.fold': 1})
    *_, end = train(index(four, step2.data), step2, tmp_path / 'step2', 'cpu')

    from napari_cxr.checkpoint import load

    old, new = load(start), load(end.path)
    assert old.card.labels == ('disease', 'normal')
    assert new.card.labels == ('covid19', 'normal', 'other', 'pneumonia')
    same = {name for name, tensor in old.tensors.items() if tensor.equal(new.tensors[name])
            if tensor.shape == new.tensors[name].shape}  # fmt: skip
    # The first two blocks stayed as they were; the last one and the head moved.
    frozen = {name for name in old.tensors if name.startswith(('stages.block1', 'stages.block2'))}
    assert frozen and same == frozen


def test_every_entry_survives(recipe):
    entries = recipe.to_dict()
    entries['input']['stretch'] = 'none'
    entries['card'] = {'attribution': ['a', 'b'], 'halve': True}
    changed = Recipe.from_dict(entries)
    assert changed.input.stretch is None
    assert changed.card.attribution == ('a', 'b')
    assert Recipe.from_toml(changed.to_toml()) == changed
    assert changed.augmentation == recipe.augmentation


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (
            {'augmentation': {'rotaton': 3}},
            r'augmentation\.rotaton .* mean augmentation\.rotation\?',
        ),
        ({'learning_rate': 1}, 'learning_rate is not an entry'),
        (
            {'split': {'source': 'a'}},
            r'split\.source is not an entry of a recipe any more; use split\.left_out',
        ),
        ({'epochs': 0}, 'epochs must be between 1 and'),
        ({'epochs': 2.0}, 'epochs must be a whole number'),
        ({'epochs': True}, 'epochs must be a whole number'),
        ({'batch': 1}, 'batch must be between 2'),
        ({'optimiser': {'learning_rate': 0}}, r'optimiser\.learning_rate must be above 0'),
        ({'optimiser': {'learning_rate': 'fast'}}, r'optimiser\.learning_rate must be a number'),
        ({'optimiser': {'learning_rate': float('nan')}}, r'learning_rate must be a number'),
        ({'optimiser': {'name': 'magic'}}, r"optimiser\.name must be one of 'adamw'"),
        ({'loss': {'label_smoothing': 1.0}}, r'loss\.label_smoothing must be'),
        ({'selection': {'metric': 'test_accuracy'}}, r'selection\.metric must be one of'),
        ({'split': {'val': 0}}, r'split\.val must be above 0'),
        ({'split': {'left_out': [['a']]}}, r'split\.left_out must be empty, unless split\.method'),
        ({'split': {'then_all': True}}, r'split\.then_all must be false, unless split\.method'),
        (
            {'split': {'method': 'leave-source-out', 'left_out': [['a', 'a']]}},
            r'split\.left_out must be lists of sources, at least one in each, and each once',
        ),
        (
            {'split': {'method': 'leave-source-out', 'left_out': [['a', 'b'], ['b', 'a']]}},
            r'split\.left_out must be lists of which no two are the same',
        ),
        (
            {'schedule': {'warm_up': 20}},
            r'set schedule\.warm_up to 0, or epochs to more than 20\.$',
        ),
        ({'input': {'height': 0, 'width': 5}}, 'input: height and width'),
        ({'input': {'height': 5}}, r'lacks input\.width'),
        ({'input': {'height': 5, 'width': 5, 'stretch': [1]}}, r'stretch must be a list of 2'),
        ({'input': {'height': 5, 'width': 5, 'mean': 3}}, r'input\.mean must be a list'),
        ({'loss': 3}, 'loss must be a table'),
        ({'card': {'halve': 1}}, r'card\.halve must be true or false'),
        ({'title': 3}, 'title must be a text'),
        ({'network': ''}, 'network must be given'),
    ],
)
def test_nonsense_is_refused_by_name(entries, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({'name': 'x', 'network': 'resnet10', **entries})


def test_missing_entries_wrong_toml_and_unknown_names(tmp_path):
    with pytest.raises(RecipeError, match='lacks network'):
        Recipe.from_dict({'name': 'x'})
    with pytest.raises(RecipeError, match='not TOML'):
        Recipe.from_toml('name = ')
    with pytest.raises(RecipeError, match=r"no recipe 'nothing'.*bundled-resnet10"):
        recipes.find('nothing')
    file = tmp_path / 'mine.toml'
    file.write_text('name = "mine"\nnetwork = "resnet18"\n')
    assert recipes.find(file).network == 'resnet18'
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(RecipeError, match=r'mine\.toml cannot be read'):
        recipes.find(file)


@pytest.mark.parametrize('name', ['My first run', '', 'a/b', 'x' * 81])
def test_a_name_that_no_card_takes_is_refused_before_the_run(name):
    text = recipes.find('bundled-resnet10').to_toml()
    wrong = text.replace('name = "cxr3-resnet10"', f'name = "{name}"', 1)
    wrong = wrong.replace('name = "bundled-resnet10"', f'name = "{name}"', 1)
    with pytest.raises(RecipeError, match='name'):
        Recipe.from_toml(wrong)


def test_an_input_that_no_card_takes_is_refused_before_the_run():
    text = recipes.find('bundled-resnet10').to_toml().replace('height = 225', 'height = 100000')
    with pytest.raises(RecipeError, match=r'input\.height'):
        Recipe.from_toml(text)


def test_a_network_that_knows_lungs_by_the_black_around_them_gets_nothing_else():
    recipe = recipes.find('bundled-lung-texture')
    assert recipe.with_changes({'augmentation.rotation': 5.0}).network == 'lung_texture'
    for changes, said in (
        ({'input.lungs': 'crop'}, "input.lungs = 'only'"),
        ({'input.mean': [0.5]}, r'input.mean = \[0.0\]'),
        ({'augmentation.noise': 0.1}, 'augmentation.noise changes it'),
    ):
        with pytest.raises(RecipeError, match=said):
            recipe.with_changes(changes)
