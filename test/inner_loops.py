"""inner_loops.py FILE.s FUNCTION REGEX…: what the hottest loop of a function's assembly consists of.

Prints one line per REGEX, "REGEX: lines that match", for the innermost loop of FUNCTION (a regular expression too) in
which the first REGEX matches most often. A loop is what lies between a label and a later jump to it.
"""
import re
import sys


def innermost_loops(lines):
    """Of one function: lists of lines."""
    labels, loops = {}, []
    for number, line in enumerate(lines):
        label = re.match(r"(\.L\w+):", line)
        if label:
            labels[label.group(1)] = number
        target = re.match(r"\s+(?:j\w+|b|b\.\w+|cbn?z|tbn?z)\s.*?(\.L\w+)$", line)
        if target and target.group(1) in labels:
            loops.append((labels[target.group(1)], number))
    inner = [(a, b) for a, b in loops if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in loops)]
    return [lines[a : b + 1] for a, b in inner]


def functions(lines):
    name, body = None, []
    for line in lines:
        label = re.match(r"([^\s.#/][^\s:]*):", line)
        if label:
            yield name, body
            name, body = label.group(1), []
        body.append(line)
    yield name, body


file, wanted, *patterns = sys.argv[1:]
with open(file, encoding="utf-8") as text:
    lines = [re.sub(r"\s*(//|# ).*", "", line.rstrip()) for line in text]
loops = [loop for name, body in functions(lines) if name and re.fullmatch(wanted, name) for loop in innermost_loops(body)]
counts = [[sum(bool(re.search(p, line)) for line in loop) for p in patterns] for loop in loops]
assert counts, "expected a loop in a function '%s' of %s" % (wanted, file)
for pattern, count in zip(patterns, max(counts)):
    print("%s: %d" % (pattern, count))
