"""Which runs a sweep has: by list, by grid, and those of the papers."""

import pytest

from napari_cxr.training import RecipeError
from napari_cxr.training import recipe as recipes
from napari_cxr.training.sweep import Sweep, find, names

HEAD = """
name = "trial"
metric = "macro_f1"
[base]
network = "resnet10"
epochs = 3
precision = "float32"
batch = 4
input = { height = 33, width = 33 }
data = { duplicates = false }
"""


def names_and(place, plan):
    table, _, entry = place.partition('.')
    return [(r.name, getattr(getattr(r.recipe, table), entry)) for r in plan.runs]


@pytest.mark.parametrize('name', names())
def test_shipped_sweeps_read_and_write(name):
    plan = find(name)
    assert plan.name == name and plan.title
    assert Sweep.from_toml(plan.to_toml()) == plan
    assert {run.recipe.name for run in plan.runs} == {f'{name}-{r.name}' for r in plan.runs}


def test_nova_has_the_nineteen_runs_of_the_paper():
    runs = find('nova').runs
    assert len(runs) == 19
    assert [run.recipe.network.startswith('nova_cnn') for run in runs] == [True] * 14 + [False] * 5
    networks = [run.recipe.network for run in runs[14:]]
    assert networks == ['legacy_xception', 'inception_v3', 'densenet169', 'vgg16', 'inception_v3']
    assert [run.recipe.epochs for run in runs[14:]] == [30, 30, 30, 30, 100]
    # Its best run: 40 epochs of RMSprop at 1e-4, batches of 50, 256 x 256 pixels.
    ninth = runs[8].recipe
    assert (ninth.epochs, ninth.batch, ninth.input.height) == (40, 50, 256)
    assert (ninth.optimiser.name, ninth.optimiser.learning_rate) == ('rmsprop', 1e-4)
    assert ninth == recipes.find('nova-custom-cnn').with_changes({'name': ninth.name})


def test_kth_has_five_networks_by_two_sizes_by_frozen_or_not_by_augmented_or_not():
    for name in ('kth-covid-or-not', 'kth-covid-or-viral'):
        runs = [run.recipe for run in find(name).runs]
        assert len(runs) == 40
        kinds = {
            (r.network, r.head.hidden, r.freeze.thaw_after > 0, r.augmentation.changes)
            for r in runs
        }
        assert len(kinds) == 40
        # 300 pixels of which 38 are cut off on each side are 224.
        assert {300 - 2 * round(300 * r.input.border) for r in runs} == {224}
        assert {r.split.folds for r in runs} == {4}


def test_a_grid_is_every_combination():
    text = HEAD + '[grid]\nbatch = [4, 8]\n"optimiser.learning_rate" = [1e-3, 1e-2]\n'
    plan = Sweep.from_toml(text)
    assert names_and('optimiser.learning_rate', plan) == [
        ('1-4-0.001', 1e-3),
        ('2-4-0.01', 1e-2),
        ('3-8-0.001', 1e-3),
        ('4-8-0.01', 1e-2),
    ]
    assert [run.recipe.batch for run in plan.runs] == [4, 4, 8, 8]


def test_runs_change_only_what_they_name_and_may_have_a_base_of_their_own():
    text = (
        HEAD
        + """
[[runs]]
name = "dotted"
augmentation.rotation = 5.0
[[runs]]
base = "zhong"
augmentation = { rotation = 6.0, flip = 0.0 }
data.classes = { a = ["x"], b = ["y"] }
[[runs]]
name = "quoted"
"augmentation.rotation" = 7.0
"""
    )
    plan = Sweep.from_toml(text)
    found = names_and('augmentation.rotation', plan)
    assert found == [('dotted', 5.0), ('2', 6.0), ('quoted', 7.0)]
    zhong = plan.runs[1].recipe
    assert zhong.network == 'zhong_cnn' and zhong.augmentation.brightness == 0.1
    assert zhong.data.classes == {'a': ('x',), 'b': ('y',)}
    changed = plan.with_changes({'epochs': 1})
    assert [run.recipe.epochs for run in changed.runs] == [1, 1, 1]
    assert Sweep.from_toml(changed.to_toml()) == changed


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('name = ', 'not TOML'),
        ('name = "a"\n', 'lacks base'),
        ('base = "zhong"\n', 'lacks name'),
        (HEAD, 'made of runs'),
        (HEAD + '[[runs]]\n[search]\nranges = {batch = {choices = [2]}}\n', 'not of both'),
        (HEAD.replace('trial', '../up') + '[[runs]]\n', 'name must be'),
        (HEAD.replace('macro_f1', 'luck') + '[[runs]]\n', 'metric must be one of'),
        ('colour = 3\n' + HEAD + '[[runs]]\n', 'colour is not an entry of a sweep'),
        (HEAD + '[[runs]]\nname = "a/b"\n', r'runs\.name'),
        (HEAD + '[[runs]]\nname = "a"\n[[runs]]\nname = "a"\n', "'a' must be that of one run"),
        (HEAD + '[[runs]]\nname = "a"\nepoch = 3\n', "Run 'a': epoch is not an entry .* epochs"),
        (HEAD + '[[runs]]\nname = "a"\nepochs = 0\n', "Run 'a': epochs must be"),
        (HEAD + '[grid]\nbatch = 4\n', r'grid\.batch must be a list'),
        (HEAD + '[grid]\nbatch = []\n', r'grid\.batch must be a list'),
        (HEAD + '[search]\ntrials = 2\n', r'search\.ranges'),
        (HEAD + '[search]\nranges = {batch = {low = 4}}\n', 'the numbers low and high'),
        (HEAD + '[search]\nranges = {batch = {low = 8, high = 4}}\n', 'lower number'),
        (HEAD + '[search]\nranges = {seed = {low = 0, high = 4, log = true}}\n', 'log scale'),
        (HEAD + '[search]\nranges = {epoch = {low = 4, high = 8}}\n', 'epoch is not an entry'),
        (
            HEAD + '[search]\nsampler = "grid"\nranges = {batch = {low = 4, high = 8}}\n',
            'choices, for a grid',
        ),
    ],
)
def test_nonsense_is_refused_by_name(text, message):
    with pytest.raises(RecipeError, match=message):
        Sweep.from_toml(text)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(RecipeError, match=r"no sweep 'nothing'.*nova"):
        find('nothing')
