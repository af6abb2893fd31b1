"""Two small drawings in SVG: recall against speed, and bars of speed per batch.

Comes after peers.py, which measures; knows nothing of engines but their names. Always holds: the
axes of speed are logarithmic and start at a power of ten, so that no engine looks worse than it is.
"""

import html
import math

COLOURS = ["#c62828", "#1565c0", "#2e7d32", "#ef6c00", "#6a1b9a", "#00838f", "#5d4037", "#546e7a"]
WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 80, 180, 50, 60


class Drawing:
    def __init__(self, title: str):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        ]
        self.text(LEFT, 26, title, size=15)

    def text(self, x, y, words, anchor="start", size=12, turn=0):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turned}>'
            f"{html.escape(str(words))}</text>"
        )

    def line(self, points, colour="#ccc", width=1.0):
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def dot(self, x, y, colour, radius=3.5):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def bar(self, x, y, width, bottom, colour):
        height = max(0.0, bottom - y)
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{colour}"/>'
        )

    def legend(self, names):
        for i, name in enumerate(names):
            y = TOP + 12 + 20 * i
            self.dot(WIDTH - RIGHT + 20, y - 4, COLOURS[i % len(COLOURS)], 5)
            self.text(WIDTH - RIGHT + 32, y, name)

    def done(self) -> str:
        return "\n".join([*self.parts, "</svg>\n"])


def speed_axis(drawing: Drawing, speeds):
    """Draws the axis and returns where a speed lies."""
    low = math.floor(math.log10(min(speeds)))
    high = max(low + 1, math.ceil(math.log10(max(speeds))))

    def place(speed):
        share = (math.log10(speed) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    for power in range(low, high + 1):
        y = place(10.0**power)
        drawing.line([(LEFT, y), (WIDTH - RIGHT, y)])
        drawing.text(LEFT - 8, y + 4, f"{10**power:,}", anchor="end")
    drawing.text(22, (HEIGHT - BOTTOM + TOP) / 2, "queries per second", "middle", turn=-90)
    return place


def recall_plot(title: str, curves: dict[str, list[tuple[float, float]]]) -> str:
    """`curves`: per engine its points (recall, queries per second). Recall is drawn by the share
    that is missing, down to one in ten thousand, which stands for "exact"."""
    drawing = Drawing(title)
    marks = [0.5, 0.9, 0.99, 0.999, 0.9999]

    def across(recall):
        missing = min(0.5, max(1e-4, 1.0 - recall))
        share = (math.log10(0.5) - math.log10(missing)) / (math.log10(0.5) + 4.0)
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    up = speed_axis(drawing, [speed for points in curves.values() for _, speed in points])
    for mark in marks:
        x = across(mark)
        drawing.line([(x, TOP), (x, HEIGHT - BOTTOM)])
        label = "exact" if mark == marks[-1] else mark
        drawing.text(x, HEIGHT - BOTTOM + 18, label, "middle")
    drawing.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "recall", "middle")
    for i, points in reversed(list(enumerate(curves.values()))):  # the first engine on top
        colour = COLOURS[i % len(COLOURS)]
        places = [(across(recall), up(speed)) for recall, speed in sorted(points)]
        drawing.line(places, colour, 1.8)
        for x, y in places:
            drawing.dot(x, y, colour, 6 if len(places) == 1 else 3.5)
    drawing.legend(curves)
    return drawing.done()


def bar_plot(title: str, bars: dict[str, dict[int, float]]) -> str:
    """`bars`: per engine its queries per second by size of batch."""
    drawing = Drawing(title)
    batches = sorted({batch for speeds in bars.values() for batch in speeds})
    speeds = [speed for by_batch in bars.values() for speed in by_batch.values()]
    up = speed_axis(drawing, speeds)
    group = (WIDTH - RIGHT - LEFT) / len(batches)
    width = group * 0.8 / len(bars)
    for b, batch in enumerate(batches):
        start = LEFT + b * group + group * 0.1
        drawing.text(start + group * 0.4, HEIGHT - BOTTOM + 18, batch, "middle")
        for i, by_batch in enumerate(bars.values()):
            if batch in by_batch:
                colour = COLOURS[i % len(COLOURS)]
                top = up(by_batch[batch])
                drawing.bar(start + i * width, top, width * 0.92, HEIGHT - BOTTOM, colour)
    drawing.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "queries per call", "middle")
    drawing.legend(bars)
    return drawing.done()
