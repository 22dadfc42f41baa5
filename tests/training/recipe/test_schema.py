"""Every entry that a person can change is explained."""

import dataclasses

import pytest

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training import recipe
from napari_cxr.training.recipe.schema import field_descriptions, field_label

TABLES = [getattr(recipe, name) for name in recipe.__all__ if name.endswith('Recipe')]


@pytest.mark.parametrize('table', [*TABLES, Preprocessing])
def test_every_entry_is_explained(table):
    words = field_descriptions(table)
    assert set(words) == {field.name for field in dataclasses.fields(table)}
    assert all(len(text) > 8 and text[0] != ' ' for text in words.values())


def test_words_of_several_lines_and_several_names():
    @dataclasses.dataclass
    class Table:
        """A table.

        Parameters
        ----------
        first, second : int
            What both are,
            in two lines.
        third : {'a', 'b'}
            Another.

        Raises
        ------
        ValueError
            Never.
        """

        first: int = 0
        second: int = 0
        third: str = 'a'

    assert field_descriptions(Table) == {
        'first': 'What both are, in two lines.',
        'second': 'What both are, in two lines.',
        'third': 'Another.',
    }
    assert field_label('learning_rate') == 'Learning rate'
