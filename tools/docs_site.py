"""What `make docs` does to pages that Git's web pages need not: MkDocs calls it (`hooks` in mkdocs.yml)."""

import re
from typing import Any

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take the prompts out of blocks of commands: the site's copy button copies all that it shows."""
    return CONSOLE.sub(lambda block: f"```sh\n{without_prompts(block[1])}```", markdown)


def without_prompts(commands: str) -> str:
    """Commands as a shell takes them, where each began with a dollar sign."""
    return re.sub(r"^\$ ", "", commands, flags=re.MULTILINE)
