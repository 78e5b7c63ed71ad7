"""What the parts of a card have in common: no unknown keys, and names of files that stay in the dataset's folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from earshot.datasets.names import plain_relative

InFolder = Annotated[str, AfterValidator(plain_relative)]


class Part(BaseModel):
    """A mapping in a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)
