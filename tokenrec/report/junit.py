"""The limits of an evaluation as JUnit XML, which CI systems show: a test case a task and limit."""

from typing import Any
from xml.etree import ElementTree as xml


def junit(doc: dict[str, Any], fail_if: dict[str, str]) -> str:
    """A limit that is broken is a failure, one that the labels can't decide an error, one that does not apply skipped.

    doc: the document of `tokenrec eval --json`.
    """
    broken = {(found["task"], found["limit"]): found for found in doc["failed_limits"]}
    suite = xml.Element("testsuite", name=f"tokenrec eval {doc['recipe']}")
    for task in doc["tasks"]:
        for key, limit in fail_if.items():
            name = f"{key} {limit.strip()}"
            case = xml.SubElement(suite, "testcase", classname=f"{doc['recipe']}.{task['task']}", name=name)
            found = broken.get((task["task"], name))
            if found is None:
                if task[key.removesuffix("_before")] is None:
                    xml.SubElement(case, "skipped", message="not judged: no output of the task is grounded")
            elif found["verdict"] == "failed":
                xml.SubElement(case, "failure", message=f"{key} is {_range(found)}, limit {limit}", type="limit")
            else:
                n = task["basis"]["labelled"]
                said = f"{n} labels are too few to say whether {name}"
                if found["value"] is not None:
                    said += f": {_range(found)}"
                xml.SubElement(case, "error", message=said, type="too few labels")
    for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(1 for _ in suite.iter(tag))))
    xml.indent(suite)
    return xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _range(found: dict[str, Any]) -> str:
    value, low, high = (f"{100 * found[k]:.1f}%" for k in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
