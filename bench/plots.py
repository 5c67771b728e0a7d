"""One SVG of how cost grows, out of bench/run.py's results: lines over prompt, batch and depth."""
import os
from xml.sax.saxutils import escape

from works import BATCHES, CONTEXTS, DEPTHS, LENGTHS, PEERS, gpt2, name

COLOURS = ["#c0392b", "#e67e22", "#8e44ad", "#2471a3", "#7fb3d5", "#1e8449", "#82e0aa", "#7d6608", "#566573", "#aab7b8"]
WIDE, HIGH, MARGIN = 300, 220, 46  # of one panel's axes; pixels


def panels():
    """(title, x values, work of each, what to show of its ms)"""
    yield "prefill, tokens/s by prompt", LENGTHS, [name("prefill", gpt2(12), 1, n) for n in LENGTHS], lambda n, ms: 1e3 * n / ms
    yield ("decode, tokens/s by batch", BATCHES, [name("decode", gpt2(12), n, CONTEXTS[0]) for n in BATCHES], lambda n, ms: 1e3 * n / ms)
    yield "prefill of 512 tokens, ms by layers", DEPTHS, [name("prefill", gpt2(n), 1, 512) for n in DEPTHS], lambda n, ms: ms


def text(x, y, what, anchor="middle"):
    return '<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>' % (x, y, anchor, escape(what))


def panel(left, title, xs, lines):
    """lines: {peer: [(x, y)]}; both axes begin at 0."""
    top, most = MARGIN, max(y for points in lines.values() for _, y in points) * 1.05
    at = lambda x, y: (left + WIDE * x / xs[-1], top + HIGH * (1 - y / most))
    parts = [text(left + WIDE / 2, top - 14, title), '<path d="M%d %dV%dH%d" fill="none" stroke="#444"/>' % (left, top, top + HIGH, left + WIDE)]
    for x in xs[1:]:
        parts.append(text(at(x, 0)[0], top + HIGH + 16, str(x)))
    for y in (most / 2, most / 1.05):
        parts += [text(left - 4, at(0, y)[1] + 4, "%.0f" % y, "end"),
                  '<path d="M%d %.1fH%d" stroke="#ddd"/>' % (left, at(0, y)[1], left + WIDE)]
    for key, points in lines.items():
        path = "L".join("%.1f %.1f" % at(*p) for p in points)
        parts.append('<path d="M%s" fill="none" stroke="%s" stroke-width="%d"/>' % (
            path, COLOURS[list(PEERS).index(key)], 3 if PEERS[key].python is None else 1.5))
    return parts


def write(results, folder):
    """FOLDER/performance.svg, when anything was measured that it shows."""
    parts, left, seen = [], 2 * MARGIN, {}
    for title, xs, works, show in panels():
        lines = {}
        for key in PEERS:
            points = [(x, show(x, results["ms"][key][w])) for x, w in zip(xs, works) if w in results["ms"].get(key, {})]
            if len(points) > 1:
                lines[key] = points
        if lines:
            parts += panel(left, title, xs, lines)
            left += WIDE + 2 * MARGIN
            seen.update(lines)
    if not parts:
        return
    for i, key in enumerate(k for k in PEERS if k in seen):
        x, y = 2 * MARGIN + i % 4 * 260, 2 * MARGIN + HIGH + i // 4 * 20
        parts += ['<path d="M%d %dh24" stroke="%s" stroke-width="3"/>' % (x, y - 4, COLOURS[list(PEERS).index(key)]),
                  text(x + 30, y, results["names"][key], "start")]
    size = max(left, 2 * MARGIN + 4 * 260), 3 * MARGIN + HIGH + len(seen) // 4 * 20
    with open(os.path.join(folder, "performance.svg"), "w", encoding="utf-8") as out:
        out.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">\n' % size)
        out.write('<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
