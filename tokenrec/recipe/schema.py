"""JSON Schemas of recipe and tokenrec.yaml, for editors. The committed files are made by `--write`."""

import json
from pathlib import Path

from tokenrec.config import Project
from tokenrec.recipe.models import Recipe

FOLDER = Path(__file__).parent.parent / "report" / "schemas"


def recipe_schema() -> dict:
    """JSON Schema (2020-12) of a recipe."""
    return _schema(Recipe, "A tokenrec recipe")


def project_schema() -> dict:
    """JSON Schema (2020-12) of tokenrec.yaml."""
    return _schema(Project, "tokenrec.yaml")


def schema_text(schema: dict) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path = FOLDER) -> list[Path]:
    """Write recipe.schema.json and project.schema.json into `folder`; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in (("recipe", recipe_schema()), ("project", project_schema())):
        written.append(folder / f"{name}.schema.json")
        written[-1].write_text(schema_text(schema), encoding="utf-8", newline="\n")
    return written


def _schema(model, title: str) -> dict:
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
