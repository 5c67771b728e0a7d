# RUN: %python %s
"""docs/models.md holds the table of attnc --list-models, and every family has its tests."""
import os
import subprocess
import sys

source, build = os.environ["ATTN_SOURCE_DIR"], os.environ["ATTN_BUILD_DIR"]
table = subprocess.run([os.path.join(build, "bin", "attnc"), "--list-models"], check=True, capture_output=True, text=True).stdout
problems = []
with open(os.path.join(source, "docs", "models.md"), encoding="utf-8") as page:
    if table not in page.read():
        problems.append("docs/models.md: expected this table:\n" + table)
for row in table.splitlines()[2:]:
    family = row.split("`")[1]
    name = family.removesuffix("_text").replace("-", "_")
    directories = os.path.join(source, "test", "fixtures", "models", name)
    test = os.path.join(source, "test", "models", name + ".test")
    if name == "gpt2":  # compared with numpy instead of transformers
        directories, test = os.path.join(source, "test", "fixtures", "gpt2"), os.path.join(source, "test", "e2e", "gpt2.py")
    for path in [test, directories]:
        if not os.path.exists(path):
            problems.append("%s: expected %s" % (family, os.path.relpath(path, source)))
    if os.path.isdir(directories) and len(os.listdir(directories)) < 3:
        problems.append("%s: expected at least 3 models in %s" % (family, os.path.relpath(directories, source)))
sys.exit("\n".join(problems) or 0)
