"""`tokenrec show user`: what the tasks say of a user, whose words it is, and where it stands."""

import json
from typing import Any

from tokenrec.cli.stored import visible
from tokenrec.errors import InputError
from tokenrec.recipe.load import task_order
from tokenrec.recipe.refs import needs
from tokenrec.tasks.overrides import read_overrides
from tokenrec.tasks.spec import task_spec


def document(db, loaded, user: str) -> dict[str, Any]:
    """The JSON document: of each user task its present token, "lm" or "override", and what reads it.

    Raises InputError where no task has anything of the user.
    """
    recipe, said = loaded.recipe, []
    for name in task_order(recipe):
        task = recipe.tasks[name]
        if task.for_ != "user":
            continue
        token = db.execute(
            "select output, completion_id from tokens where recipe = ? and task = ? and subject = ?",
            [recipe.name, name, user],
        ).fetchone()
        theirs = read_overrides(task_spec(recipe, name), loaded.folder)
        if token is None and user not in theirs:
            continue
        output = theirs[user] if user in theirs else json.loads(token[0])
        said.append({
            "task": name, "output": output, "by": "override" if user in theirs else "lm",
            "file": task.overrides, "completion": token and token[1], "synthetic": task.augment is not None,
            "read_by": [n for n, t in recipe.tasks.items() if name in needs(t)],
        })  # fmt: skip
    if not said:
        known = [n for n, t in recipe.tasks.items() if t.for_ == "user"]
        raise InputError(
            f"{recipe.name} says nothing of a user {visible(user)}. its tasks about users: {', '.join(known) or 'none'}"
        )
    return {"kind": "show_user", "schema_version": 1, "recipe": recipe.name, "user": user, "tasks": said}


def lines(doc: dict[str, Any]) -> list[str]:
    """Why this user is shown what they are shown, for people."""
    told = [f"user {doc['user']} of {doc['recipe']}"]
    for task in doc["tasks"]:
        whose = f"written by a person in {task['file']}" if task["by"] == "override" else "written by the LM"
        what = ", a synthetic item: invented, in no catalogue" if task["synthetic"] else ""
        told += ["", f"{task['task']}, {whose}{what}"]
        for name, value in (task["output"] or {"hidden": "the LM's text is not used"}).items():
            told.append(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
        if task["completion"]:
            told.append(f"  completion {task['completion'][:16]} (tokenrec show has all of it)")
        if task["read_by"]:
            told.append(f"  read by {', '.join(task['read_by'])}")
    told += ["", 'To change it: {"subject": ..., "output": {...}} on a line of the file that overrides: names.']
    return told
