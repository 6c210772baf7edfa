"""How the scripts of this folder tell what they are and how they are used."""

import argparse


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Returns a parser that shows a script's docstring as it is written, its usage last."""
    about, _, usage = (doc or "").partition("Usage:")
    return argparse.ArgumentParser(
        description=about,
        epilog=f"Usage:{usage}" if usage else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
