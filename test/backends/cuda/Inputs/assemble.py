"""assemble.py PTXAS FILE DIRECTORY: assembles each module of what --emit=ptx printed; a line for each kernel."""
import os
import re
import subprocess
import sys

ptxas, source, directory = sys.argv[1:]
with open(source) as file:
    modules = re.split(r"(?=^\.version)", file.read(), flags=re.M)[1:]
kernels = spilling = 0
for module in modules:
    chip = re.search(r"^\.target (\w+)", module, re.M).group(1)
    path = os.path.join(directory, chip + ".ptx")
    with open(path, "w") as file:
        file.write(module)
    command = [ptxas, "-v", "-arch=" + chip, path, "-o", path + ".cubin"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    print(chip)
    for name, stores, loads, registers in re.findall(
            r"entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
            done.stderr, re.S):
        kernels += 1
        spilling += stores != "0" or loads != "0"
        print("  %-24s %3s registers, %s and %s bytes of spills" % (name, registers, stores, loads))
    assert "C75" not in done.stderr, done.stderr  # wgmma that is serialised
print("%d kernels, %d spill" % (kernels, spilling))
