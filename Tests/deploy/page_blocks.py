"""The fenced examples of the pages."""

import re


def blocks(path, language=None):
    """The examples of a page as (language, text), or the texts of those in one language."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", path.read_text(), re.M | re.S)
    return [text for each, text in found if each == language] if language is not None else found
