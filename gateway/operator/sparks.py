"""Rows of numbers as small drawings: the paths of an SVG, made on the server (pure)."""

from datetime import datetime

from gateway.operator.lately import MINUTE, QUARTER, Values

WIDTH, HEIGHT = 120, 24


def top(*rows: Values) -> float:
    """The greatest value of these; 0 when nothing is known."""
    return max((value for row in rows for value in row if value is not None), default=0.0)


def line(values: Values, greatest: float) -> str:
    """The `d` of a path from left to right, `greatest` on top; broken where nothing is known."""
    if len(values) < 2:
        return ""
    pieces, pen_down = [], False
    for place, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x = place * WIDTH / (len(values) - 1)
        # A hair below the edge, or half of the stroke is cut off.
        y = HEIGHT - 1 - (value / greatest * (HEIGHT - 2) if greatest else 0)
        pieces.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        if not pen_down:
            pieces.append("h0")  # a value alone between two gaps is a dot
        pen_down = True
    return "".join(pieces)


def when(values: Values, end: datetime) -> datetime | None:
    """When the greatest value was, as the begin of its minute or quarter; None when all are 0."""
    greatest = top(values)
    if not greatest:
        return None
    step = MINUTE if len(values) == 60 else QUARTER
    return end - (len(values) - values.index(greatest)) * step
