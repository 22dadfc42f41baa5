"""The form shows every recipe as it is, and hands on what a person types."""

import pytest
from qtpy.QtCore import Qt

from napari_cxr.plugin.train.recipe_form import RecipeForm
from napari_cxr.training import Recipe, RecipeError
from napari_cxr.training import recipe as recipes


@pytest.fixture
def form(qtbot):
    form = RecipeForm()
    qtbot.addWidget(form)
    return form


@pytest.mark.parametrize('name', recipes.names())
def test_every_shipped_recipe_goes_through_the_form_unchanged(form, name):
    recipe = recipes.find(name)
    form.show_recipe(recipe)
    assert form.recipe == recipe
    assert not any(label.font().bold() for label in form._labels.values())


def line(form, key):
    return form._fields[key].editor


def test_typing_changes_the_recipe_and_marks_it(form, qtbot):
    recipe = recipes.find('bundled-resnet10')
    form.show_recipe(recipe)
    field = line(form, 'optimiser.learning_rate')
    field.selectAll()
    with qtbot.waitSignal(form.changed):
        qtbot.keyClicks(field, '1e-4')
    assert form.recipe == recipe.with_changes({'optimiser.learning_rate': 1e-4})
    assert form._labels['optimiser.learning_rate'].font().bold()
    assert form._sections['optimiser'].summary.text() == '1 changed'

    form.show_recipe(recipe)
    line(form, 'augmentation.only').setPlainText('covid19\nnormal')
    line(form, 'data.classes').setPlainText('sick = covid19, pneumonia\nnormal = normal')
    line(form, 'input.stretch').clear()
    form._fields['split.method'].show_value('leave-source-out')
    line(form, 'split.left_out').setPlainText('nih, kermany\nhannover')
    changed = form.recipe
    assert changed.split.left_out == (('nih', 'kermany'), ('hannover',))
    form.show_recipe(changed)
    assert form.recipe == changed
    assert changed.augmentation.only == ('covid19', 'normal')
    assert changed.data.classes == {'sick': ('covid19', 'pneumonia'), 'normal': ('normal',)}
    assert changed.input.stretch is None


def test_nonsense_is_named_by_the_recipe(form, qtbot):
    form.show_recipe(recipes.find('bundled-resnet10'))
    field = line(form, 'optimiser.learning_rate')
    field.selectAll()
    qtbot.keyClicks(field, 'fast')
    with pytest.raises(RecipeError, match=r'optimiser\.learning_rate must be a number'):
        _ = form.recipe


def test_choices_boxes_and_numbers_by_keyboard(form, qtbot):
    form.show_recipe(Recipe.from_dict({'name': 'x', 'network': 'resnet18'}))
    form.show()
    form._sections['optimiser'].set_open(True)
    box = line(form, 'optimiser.name')
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert form.recipe.optimiser.name == 'adam'
    qtbot.mouseClick(
        line(form, 'data.balance'), Qt.MouseButton.LeftButton, pos=line_start(form, 'data.balance')
    )
    assert form.recipe.data.balance
    spin = line(form, 'epochs')
    spin.selectAll()
    qtbot.keyClicks(spin, '7')
    assert form.recipe.epochs == 7


def line_start(form, place):
    from qtpy.QtCore import QPoint

    return QPoint(6, line(form, place).height() // 2)


def test_the_wheel_turns_the_page_and_not_the_values(form, qtbot):
    from qtpy.QtCore import QPoint, QPointF
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    recipe = recipes.find('bundled-resnet10')
    form.show_recipe(recipe)
    form.show()
    for place in ('epochs', 'sampler'):
        turn = QWheelEvent(
            QPointF(5, 5),
            QPointF(5, 5),
            QPoint(0, 0),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        line(form, place).clearFocus()
        QApplication.sendEvent(line(form, place), turn)
        assert not turn.isAccepted()
    assert form.recipe == recipe


def test_entries_without_a_field_are_kept(form):
    recipe = recipes.find('bundled-resnet10').with_changes(
        {'data.exclude': ['00ff'], 'data.together': [['a', 'b']]}
    )
    form.show_recipe(recipe)
    assert form.recipe == recipe
    form.set_hidden('data.exclude', ())
    assert form.recipe.data.exclude == ()


def test_names_that_are_offered_leave_the_choice_as_it_is(form):
    recipe = recipes.find('bundled-resnet10')
    form.show_recipe(recipe)
    form.offer('network', ('resnet18', 'resnet50'))
    assert form.recipe == recipe
    assert [line(form, 'network').itemText(i) for i in range(2)] == ['resnet18', 'resnet50']


def test_every_field_is_explained_by_its_tooltip(form):
    for key, field in form._fields.items():
        assert len(field.toolTip()) > 20 and key in field.toolTip()
        assert field.editor.accessibleName()


def test_the_entry_that_a_refusal_names_is_marked_and_in_sight(form):
    form.show_recipe(recipes.find('bundled-resnet10'))
    rate, section = form._labels['optimiser.learning_rate'], form._sections['optimiser']
    assert not section.is_open
    where = form.mark_error('optimiser.learning_rate must be a number.')
    assert where == 'Optimiser, Learning rate'
    assert section.is_open and rate.property('wrong')
    assert form.mark_error('The recipe is odd.') == ''
    assert not rate.property('wrong')
