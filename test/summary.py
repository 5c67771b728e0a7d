"""Adds up lit's reports: `summary.py NAME=REPORT.json ...`

Lists failed and skipped tests (with their reason), then prints one line, `N passed, N failed, N skipped`.
Exits with 1 when anything failed, when a report is missing, or when nothing ran.
"""
import json
import sys

PASSED = {"PASS", "XFAIL", "FLAKYPASS"}


def main(arguments):
    passed, failed, skipped = 0, [], {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        try:
            with open(path, encoding="utf-8") as file:
                tests = json.load(file)["tests"]
        except (OSError, ValueError, KeyError) as error:
            failed.append("%s: no report (%s)" % (name, error))
            continue
        for test in tests:
            label = "%s: %s" % (name, test["name"].replace("attn :: ", ""))
            if test["code"] in PASSED:
                passed += 1
            elif test["code"] == "UNSUPPORTED":
                reason = test["output"].strip().splitlines()
                skipped.setdefault(reason[0] if reason else "no reason given", []).append(label)
            else:
                failed.append(label)
    for reason, labels in sorted(skipped.items()):
        print("skipped: %s" % reason)
        for label in labels:
            print("  " + label)
    for label in failed:
        print("FAILED: " + label)
    count = sum(map(len, skipped.values()))
    print("%d passed, %d failed, %d skipped" % (passed, len(failed), count))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
