"""Checks a page of attnc --report: it is well-formed, needs nothing from elsewhere, and its memory plans add up."""
import html.parser
import re
import sys

VOID = {"meta", "input", "br"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.titles = [], []

    def handle_starttag(self, tag, attributes):
        assert not {"src", "srcset"} & dict(attributes).keys(), tag
        link = dict(attributes).get("href", "#")
        assert link.startswith("#"), link
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())


text = open(sys.argv[1], encoding="utf-8").read()
page = Page()
page.feed(text)
page.close()
assert not page.open, page.open
assert not re.search(r"https?:|@import|url\((?!#)", text)
for link in re.findall(r'href="#(\w+)"', text):
    assert 'id="%s"' % link in text, link

plans = text.split("Workspace: ")[1:]
assert plans
for plan in plans:
    total, live = map(int, re.match(r".*?\((\d+) bytes\).*?\((\d+) bytes\)", plan).groups())
    buffers = [tuple(map(int, found)) for found in
               re.findall(r"bytes (\d+) to (\d+) \([^)]*\), steps (\d+) to (\d+)</title>", plan.split("</figure>")[0])]
    assert all(end <= total for _, end, _, _ in buffers), "beyond the workspace"
    for i, (a, b, first, last) in enumerate(buffers):
        for c, d, begin, end in buffers[:i]:
            assert b <= c or d <= a or last < begin or end < first, "two buffers in one place"
    most = max([sum(b - a for a, b, first, last in buffers if first <= now <= last) for now in
                {first for _, _, first, _ in buffers}], default=0)
    assert most == live, (most, live)
    if len(sys.argv) > 2:
        assert total <= float(sys.argv[2]) * live, (total, live)
print("%d plans" % len(plans))
