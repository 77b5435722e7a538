"""GENRE: titles rewritten, readers described, items invented (Liu et al. 2023; ONCE, WSDM 2024).

    use: genre.TitleRewriter      for: item   one new title from what the item's text says
    use: genre.UserProfiler       for: user   topics from a closed list (tags), or a few words of one's own (text)
    use: genre.ItemInventor       for: user   an item in the catalogue's own fields, for those who have read little
    use: genre.HistoryCompressor  for: user   a long history in two sentences

Each is an inline task with its own words: the recipe says fields, outputs and gates, and chains them by `$task.output`
(a profile that steers the inventor). `augment:` at the inventor's task makes its items events of a weight in short
histories, and nothing else: they are never candidates. `with: {instruction: ...}` puts other words in their place.
"""

from pydantic import BaseModel, ConfigDict, Field

from tokenrec.tasks.module import TaskModule


class Parameters(BaseModel):
    """What `with:` may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instruction: str | None = Field(default=None, min_length=1)


class Told(TaskModule):
    """An inline task with an instruction of its own."""

    Parameters = Parameters

    def __init__(self, spec, writer):
        self.instruction = Parameters.model_validate(spec.task.with_).instruction or self.instruction
        super().__init__(spec, writer)


class TitleRewriter(Told):
    """A headline that holds what it promises. Set `against:` to the abstract: the old title is then no ground."""

    instruction = (
        "Write a better title for each record: plain, specific, and true to its text. Say what it is about and promise "
        "nothing that the text does not have. Add no name and no number of your own, and do not repeat the old title."
    )


class UserProfiler(Told):
    """What somebody reads for: a closed vocabulary where the outputs have choices, else a few words."""

    instruction = (
        "Each list holds what one person chose. Say which subjects this person is interested in, those that return "
        "most first. Name subjects, not titles from the list."
    )


class ItemInventor(Told):
    """One item that somebody would choose next and that does not exist, field by field as the catalogue has them."""

    instruction = (
        "Each list holds what one person chose. Invent one further thing of the same kind that this person would "
        "choose next. It must be new: none from the list, none that you know to exist, and unlike what "
        "anybody else would be told. Make it as specific as those in the list."
    )


class HistoryCompressor(Told):
    """What a long history has in common, short enough for a prompt or an encoder."""

    instruction = (
        "Each list holds what one person chose, oldest first. Sum up in at most two sentences what they have in common "
        "and how the latest differ from the first. Name no title."
    )
