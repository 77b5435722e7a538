"""What every part of a recipe is: a strict, frozen pydantic model."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Comparison = Annotated[str, StringConstraints(pattern=r"^\s*(>=|<=|==|!=|>|<)\s*-?[0-9.]+\s*$")]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
