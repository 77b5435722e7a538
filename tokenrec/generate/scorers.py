"""The judges of a task's outputs, ready to be asked by its gates."""

from tokenrec.config import LoadedProject
from tokenrec.gates.scoring import Scorer
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.spec import TaskSpec


def open_scorers(project: LoadedProject, recipe: Recipe, spec: TaskSpec, db=None) -> dict[str, Scorer]:
    """By output; the shipped detector is not among them, since it needs nothing. Loads no weights and asks no LM.

    db: where the answers of a language model are; without it there are none. InputError when a model that the recipe
    names can't be used.
    """
    found: dict[str, Scorer] = {}
    for name, output in spec.outputs.items():
        if output.judge == "nli":
            from tokenrec.gates.factuality.nli import open_nli

            found[name] = open_nli(project, recipe.lm.nli)
        elif output.judge == "lm":
            from tokenrec.generate.fact_judge import StoredAnswers

            found[name] = StoredAnswers(db, fact_judge(project, recipe, spec.name, name))
    return found


def fact_judge(project: LoadedProject, recipe: Recipe, task: str, output: str, writer=None):
    """The judge of one output with its compiled program, where it has one; without a `writer` it can't be asked."""
    from tokenrec.generate.fact_judge import judge_name, open_fact_judge
    from tokenrec.lm.writer import open_writer
    from tokenrec.tasks.compiled import compiled_path, read_lock

    writer = writer or open_writer(project, judge_model(recipe), asking=False)
    lock = read_lock(compiled_path(project.root, recipe.name, judge_name(task, output), writer.lm_id))
    state, source = (lock.state, lock.source_id) if lock else (None, None)
    return open_fact_judge(recipe, task, output, writer, state, source)


def judge_model(recipe: Recipe) -> str:
    """The LM that judges: the recipe's `lm.judge`, or its reflector."""
    return recipe.lm.judge or recipe.lm.reflector
