"""`tokenrec recipe check` and `tokenrec recipe schema`."""

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.errors import InputError


@click.group()
def group():
    """Check a recipe, or print its JSON Schema."""


@group.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--data", is_flag=True, help="Read the data too: columns, rows, windows.")
@common_options
def check(out: Out, recipe: str, data: bool) -> None:
    """Check a recipe file; every fault is shown with file, line and what to do.

    Nothing is generated and nothing is written. Exits 0 when the recipe is fine, 2 when it is not.
    """
    from tokenrec.recipe.load import load_recipe, task_order

    loaded = load_recipe(recipe)
    found = loaded.recipe
    document = {"kind": "recipe_check", "schema_version": 1, "recipe": found.name, "path": str(loaded.path),
                "recipe_hash": loaded.recipe_hash, "tasks": task_order(found)}
    lines = [f"{loaded.path}: fine", f"  tasks, in the order they run: {', '.join(task_order(found)) or 'none'}",
             f"  models: writer {_writers(found)}, reflector {found.lm.reflector}, encoder {found.lm.encoder}"]
    if data:
        from tokenrec.dataset.load import load_dataset
        from tokenrec.dataset.queries import load_queries

        dataset = load_dataset(found, loaded.folder)
        requests = load_queries(found, loaded.folder, dataset, dataset.notes)
        document |= {"items": len(dataset.item_ids), "users": len(dataset.user_ids), "events": len(dataset.events),
                     "notes": dataset.notes}
        parts = {"items": dataset.item_ids, "users": dataset.user_ids, "events": dataset.events,
                 "reviews": dataset.reviews, "requests": requests}  # fmt: skip
        lines.append("  data: " + ", ".join(f"{len(p)} {name}" for name, p in parts.items() if p is not None))
        lines += [f"  note: {note}" for note in dataset.notes]
    out.emit(document)
    out.print("\n".join(lines))


def _writers(recipe) -> str:
    """The writing model, and those of single tasks."""
    own = [f"{task.writer} ({name})" for name, task in recipe.tasks.items() if task.writer]
    return ", ".join([recipe.lm.writer, *own])


@group.command()
@click.option("--project", is_flag=True, help="The schema of tokenrec.yaml instead of a recipe's.")
@click.option("--suite", is_flag=True, help="The schema of a suite (kind: suite) instead of a recipe's.")
@click.option("--write", is_flag=True, help="Write all three into tokenrec/report/schemas/ (for developers).")
@common_options
def schema(out: Out, project: bool, suite: bool, write: bool) -> None:
    """Print the JSON Schema of a recipe, for editors and other tools.

    An editor with a YAML language server uses it when a recipe begins with the line
    `# yaml-language-server: $schema=PATH`. With --suite or --project it is that of a suite or of tokenrec.yaml.
    """
    from tokenrec.evidence.suite import suite_schema
    from tokenrec.recipe.schema import project_schema, recipe_schema, schema_text, write_schemas

    if write:
        schemas = {"recipe": recipe_schema(), "project": project_schema(), "suite_file": suite_schema()}
        written = [str(path) for path in write_schemas(schemas)]
        out.emit({"kind": "recipe_schema", "schema_version": 1, "written": written})
        out.print("\n".join(f"wrote {path}" for path in written))
        return
    if project and suite:
        raise InputError("--project and --suite are two files. Name one")
    found = project_schema() if project else suite_schema() if suite else recipe_schema()
    click.echo(schema_text(found), nl=False)
