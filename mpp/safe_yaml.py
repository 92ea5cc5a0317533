"""YAML as plain values: no tags that make objects, no aliases that grow, one kind of error."""

from typing import Any

import yaml

LONGEST = 1_000_000
"""Characters up to which a text is read; a mapping has hundreds."""


class _Plain(yaml.SafeLoader):
    """Reads what it says and not what it refers to: nine aliases of nine aliases make billions."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _alias(self.peek_event())
        return super().compose_node(parent, index)


def refuse_aliases(text: str) -> None:
    """Refuse what a loader of another package would let grow, or read into itself.

    Raises:
        yaml.YAMLError: It holds an alias, or is no YAML.
    """
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _alias(event)


def _alias(event: yaml.Event) -> yaml.MarkedYAMLError:
    told = "aliases (*name) are not read; write the value out"
    return yaml.MarkedYAMLError(None, None, told, event.start_mark)


def read_yaml(text: str) -> Any:
    """The lists, pairs, words and numbers that a text holds.

    Raises:
        yaml.YAMLError: It is no YAML, or more than plain values.
    """
    if len(text) > LONGEST:
        raise yaml.YAMLError(f"{len(text)} characters, more than {LONGEST}")
    try:
        return yaml.load(text, _Plain)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # How PyYAML fails on a date, number or truth value that is none.
        raise yaml.YAMLError(f"a value of another kind than its tag ({error})") from error
    except RecursionError as error:
        raise yaml.YAMLError("nested too deep") from error
