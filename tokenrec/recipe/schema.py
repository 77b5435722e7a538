"""JSON Schemas of the YAML files that people write, for editors. The committed files are made by `--write`."""

import json
from pathlib import Path

from pydantic import BaseModel

from tokenrec.config import Project
from tokenrec.recipe.models import Recipe

FOLDER = Path(__file__).parent.parent / "report" / "schemas"


def recipe_schema() -> dict:
    """JSON Schema (2020-12) of a recipe."""
    return schema_of(Recipe, "A tokenrec recipe")


def project_schema() -> dict:
    """JSON Schema (2020-12) of tokenrec.yaml."""
    return schema_of(Project, "tokenrec.yaml")


def schema_text(schema: dict) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(schemas: dict[str, dict], folder: Path = FOLDER) -> list[Path]:
    """Write <name>.schema.json of each into `folder`; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas.items():
        written.append(folder / f"{name}.schema.json")
        written[-1].write_text(schema_text(schema), encoding="utf-8", newline="\n")
    return written


def schema_of(model: type[BaseModel], title: str) -> dict:
    """JSON Schema (2020-12) of one of our YAML files."""
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
