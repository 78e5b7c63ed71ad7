"""What the parts of a card have in common: no unknown keys, and names of files that stay in the dataset's folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from earshot.datasets.names import plain_relative

InFolder = Annotated[str, AfterValidator(plain_relative)]


def _as_list(texts: object) -> object:
    """Return one text as a list, and numbers, which YAML reads as such, as the text that they are in a table."""
    texts = texts if isinstance(texts, list) else [texts]
    return [str(text) if type(text) is int else text for text in texts]


OneOrMore = str | int | Annotated[list[str | int], Field(min_length=1)]
Texts = Annotated[list[str], Field(min_length=1), BeforeValidator(_as_list, json_schema_input_type=OneOrMore)]


def each_once(named: dict[str, list[str]]) -> dict[str, list[str]]:
    """Check that no text is in two of the lists, or twice in one."""
    every = [text for texts in named.values() for text in texts]
    if twice := sorted({text for text in every if every.count(text) > 1}):
        raise ValueError(f"'{twice[0]}' is named twice")
    return named


class Part(BaseModel):
    """A mapping in a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)
