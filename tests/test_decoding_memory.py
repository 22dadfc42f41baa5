"""How much memory a file may take: what is free, and what is said where that is too little."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from napari_cxr.decoding_memory import (
    ENDED_FROM_OUTSIDE,
    LATER,
    NotEnoughMemory,
    check_memory,
    free_memory,
    granted,
    is_passing,
)

GB = 10**9


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Set up a machine with 16 GB free and control groups as given; return what is free."""
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: SimpleNamespace(available=16 * GB))

    def free(groups, **files):
        (tmp_path / 'cgroup').write_text(groups)
        for name, content in files.items():
            path = tmp_path / 'mounted' / Path(name.replace('__', '/').replace('-', '.'))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return free_memory(tmp_path / 'cgroup', tmp_path / 'mounted')

    return free


def test_without_control_groups_it_is_what_the_system_says(machine, tmp_path):
    assert machine('') == 16 * GB
    assert free_memory(tmp_path / 'none', tmp_path) == 16 * GB


def test_a_limit_of_a_control_group_counts_with_those_above_it(machine):
    """Files that the kernel keeps in its cache are free: 3 of 8 GB are used, one of it so."""
    told = {
        'user__job__memory-max': '8000000000\n',
        'user__job__memory-current': '3000000000\n',
        'user__job__memory-stat': 'anon 1\ninactive_file 1000000000\n',
        'user__memory-max': 'max\n',
        'user__memory-current': '9000000000\n',
        'user__memory-stat': 'inactive_file 0\n',
    }
    assert machine('0::/user/job\n', **told) == 6 * GB
    told |= {'user__memory-max': '10000000000\n'}
    assert machine('0::/user/job\n', **told) == 1 * GB


def test_the_older_kind_of_control_groups_counts_too(machine):
    told = {
        'memory__memory-limit_in_bytes': '4000000000\n',
        'memory__memory-usage_in_bytes': '1000000000\n',
        'memory__memory-stat': 'cache 7\ntotal_inactive_file 500000000\n',
    }
    # In a container the path is the host's, and only the root is there.
    assert machine('9:pids:/x\n4:cpu,memory:/docker/0123\n', **told) == 3_500_000_000


def test_a_group_that_is_full_leaves_nothing(machine):
    told = {
        'memory-max': '1000\n',
        'memory-current': '5000\n',
        'memory-stat': 'inactive_file 0\n',
    }
    assert machine('0::/../..\n', **told) == 0


def test_more_than_was_granted_is_a_sentence():
    with granted(GB, later=LATER), pytest.raises(NotEnoughMemory) as caught:
        check_memory(GB // 2, pixels=10**9)
    said = str(caught.value)
    # 0.5 GB, (2 + 14) bytes for each of 10^9 pixels, and 34 MB that any file may take
    assert 'about 16.5 GB of memory, and decoders can have 1.0 GB: close' in said
    assert is_passing(said) and caught.value.needed == GB // 2 + 16 * GB + (32 << 20)
    with granted(20 * GB):
        check_memory(GB // 2, pixels=10**9)


def test_a_script_may_take_what_is_free(monkeypatch):
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: SimpleNamespace(available=100 << 20))
    check_memory(60 << 20)
    with pytest.raises(NotEnoughMemory):
        check_memory(90 << 20)


def test_reasons_that_lie_in_the_machine():
    assert is_passing(f'{ENDED_FROM_OUTSIDE}, and again.')
    assert is_passing(str(NotEnoughMemory(0, 5 * GB)))
    assert not is_passing('The file is damaged and could not be read.') and not is_passing('')
