"""Spans of time, as people read them."""

__all__ = ['clock', 'duration']


def duration(seconds: float) -> str:
    """Return a time in words, no more exact than anyone needs: '40 s', '12 min', '2 h 5 min'."""
    if seconds < 55:
        return f'{max(5, 5 * round(seconds / 5))} s'
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f'{hours} h {minutes} min' if minutes else f'{hours} h'
    days, hours = divmod(hours, 24)
    return f'{days} d {hours} h' if hours else f'{days} d'


def clock(seconds: float) -> str:
    """Return a time as a clock shows it: '0:07', '12:31', '1:02:03'."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'
