"""What a call to the world does to it."""

from enum import StrEnum


class Effect(StrEnum):
    """How much a tool changes outside; it is said in code, and nothing that a model reads or says changes it.

    `read` changes nothing. `write` changes something that can be changed back: whoever started the run needs
    `tools:write`, else a person who has it allows the call. `destroy` cannot be undone: a person allows it
    each time.
    """

    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"
