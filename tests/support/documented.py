"""The commands of docs/cluster.md, so that what the tests run is what users read."""

import re

from tests.support.files import ROOT


def documented_commands(part: str) -> str:
    """The one block of commands that contains this text, without line breaks inside a command."""
    text = (ROOT / "docs" / "cluster.md").read_text()
    (block,) = [block for block in re.findall(r"^```\n(.+?)^```", text, re.DOTALL | re.MULTILINE) if part in block]
    return block.replace("\\\n", " ")
