"""What the scripts of this folder wrote before, read again."""

import json
from pathlib import Path
from typing import Any

from hiresvae.errors import UserError


def recorded(
    file: Path, *keys: str, mend: str = "delete it, and the same command makes it anew"
) -> dict[str, Any]:
    """Returns what a JSON file says.

    Args:
        file: an object of JSON.
        keys: that it has.
        mend: what to do where it is broken.

    Raises:
        UserError: it cannot be read, was cut short, or lacks a key.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): {mend}") from error
    except ValueError as error:
        raise UserError(f"{file} is cut short or damaged: {mend}") from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing or not isinstance(content, dict):
        lacks = f"lacks {missing[0]!r}" if missing else "is not what this command writes"
        raise UserError(f"{file} {lacks}: {mend}")
    return content
