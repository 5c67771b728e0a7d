# RUN: %python %s
"""Runs every code block of README.md and docs/ that follows a line `<!-- tested -->`, each in an empty directory."""
import glob
import os
import re
import subprocess
import sys
import tempfile

from harness import BIN, SOURCE

failed = count = 0
environment = dict(os.environ, PATH=BIN + os.pathsep + os.environ["PATH"])
for path in [os.path.join(SOURCE, "README.md")] + sorted(glob.glob(os.path.join(SOURCE, "docs", "*.md"))):
    with open(path, encoding="utf-8") as file:
        blocks = re.findall(r"^<!-- tested -->\n```sh\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        count += 1
        with tempfile.TemporaryDirectory() as directory:
            for name in ("examples", "test"):
                os.symlink(os.path.join(SOURCE, name), os.path.join(directory, name))
            # Plain `python3` is whatever the user has; here it is the one with numpy.
            with open(os.path.join(directory, "python3"), "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\nexec "%s" "$@"\n' % sys.executable)
            os.chmod(os.path.join(directory, "python3"), 0o755)
            environment["PATH"] = directory + os.pathsep + environment["PATH"]
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=directory, env=environment,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print("%s: %s\n%s" % (os.path.relpath(path, SOURCE), "ok" if done.returncode == 0 else "FAILED", block), flush=True)
        if done.returncode != 0:
            failed += 1
            print(done.stdout.decode("utf-8", "replace"))
print("%d blocks, %d failed" % (count, failed))
sys.exit(1 if failed or not count else 0)
