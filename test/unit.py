"""One lit test per GoogleTest case, beside the shell tests.

lit's own GoogleTest format leaves skipped cases out of its reports; here they appear with their reason.
"""
import os
import subprocess

import lit.formats
import lit.Test
import lit.util


class ShAndUnitTests(lit.formats.ShTest):
    """Shell tests (`// RUN:`), and the GoogleTest programs `names` in `directory` as unit/PROGRAM/SUITE.CASE."""

    def __init__(self, directory, names):
        super().__init__(execute_external=False)
        self.directory = directory
        self.names = names

    def getTestsInDirectory(self, suite, path_in_suite, lit_config, config):
        for test in super().getTestsInDirectory(suite, path_in_suite, lit_config, config):
            if not test.path_in_suite[-1].endswith(".py") or has_run_line(test.getSourcePath()):
                yield test
        if not path_in_suite:
            for name in self.names:
                yield from self.cases(suite, name, config)

    def cases(self, suite, name, config):
        program = os.path.join(self.directory, name)
        try:
            listing = subprocess.run(
                [program, "--gtest_list_tests"], env=config.environment, timeout=60, check=True, capture_output=True
            ).stdout.decode()
        except (OSError, subprocess.SubprocessError) as error:
            test = lit.Test.Test(suite, ("unit", name, "list"), config, file_path=program)
            test.unit_case, test.unit_problem = None, "could not list the tests of %s: %s" % (program, error)
            yield test
            return
        for case in parse_list(listing):
            test = lit.Test.Test(suite, ("unit", name) + tuple(case.split("/")), config, file_path=program)
            test.unit_case, test.unit_problem = case, None
            yield test

    def execute(self, test, lit_config):
        if not hasattr(test, "unit_case"):
            return super().execute(test, lit_config)
        if test.unit_problem:
            return lit.Test.FAIL, test.unit_problem
        command = [test.file_path, "--gtest_filter=" + test.unit_case, "--gtest_color=no"]
        if lit_config.noExecute:
            return lit.Test.PASS, ""
        try:
            out, err, code = lit.util.executeCommand(
                command, env=test.config.environment, timeout=lit_config.maxIndividualTestTime
            )
        except lit.util.ExecuteCommandTimeoutException as error:
            return lit.Test.TIMEOUT, "%s\n%s%s" % (" ".join(command), error.out, error.err)
        text = " ".join(command) + "\n" + out + err
        if code != 0:
            return lit.Test.FAIL, text + "exit: %d\n" % code
        if "[  SKIPPED ]" in out:
            return lit.Test.UNSUPPORTED, skip_reason(out)
        if "[  PASSED  ] 1 test." not in out:
            return lit.Test.FAIL, text + "expected one test to run\n"
        return lit.Test.PASS, ""


def has_run_line(path):
    """Whether a Python file is a test and not a module."""
    with open(path, encoding="utf-8") as file:
        return any(line.lstrip("# ").startswith("RUN:") for line in file if line.startswith("#"))


def parse_list(text):
    """`--gtest_list_tests`: "Suite.  # comment" lines, each followed by indented cases."""
    suite = ""
    for line in text.splitlines():
        name = line.split("#")[0].strip()
        if not name or (not line.startswith(" ") and not name.endswith(".")):
            continue
        if not line.startswith(" "):
            suite = name
        elif "DISABLED_" not in suite + name:
            yield suite + name


def skip_reason(out):
    """The message given to GTEST_SKIP(), which follows "FILE:LINE: Skipped"."""
    lines = out.splitlines()
    for number, line in enumerate(lines):
        if line.rstrip().endswith("Skipped"):
            rest = [text.strip() for text in lines[number + 1 : number + 4] if text and not text.startswith("[")]
            return " ".join(filter(None, rest)) or "no reason given"
    return "no reason given"
