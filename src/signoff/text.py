"""What people wrote, made fit for a page: a comment can neither forge a line nor leave its table cell."""


def printable(text: str) -> str:
    """One line without control characters: none of them reaches a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def cell(text: str) -> str:
    """Text that can neither end a Markdown table cell nor become a link, code or HTML."""
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\`|*":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped.replace("](", "]\\(")
