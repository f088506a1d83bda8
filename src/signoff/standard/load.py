"""A standard's text to the resolved standard."""

from collections.abc import Sequence

from signoff.errors import Fault, StandardError
from signoff.standard.model import Standard
from signoff.standard.resolve import resolve
from signoff.standard.schema import StandardDocument
from signoff.standard.shape import Faults, SectionReader
from signoff.standard.strict_yaml import read_yaml


def load_standard(text: str, file: str) -> Standard:
    """Read a standard and fill in what profile and model types bring.

    Args:
        text: the content of the file, decoded as UTF-8 with its line ends as they are: the standard's digest
            is that of these bytes.
        file: its name or path, for messages and origins.

    Raises:
        StandardError: the text is not strict YAML, or the standard has faults; all of them are listed.
    """
    document, refused = read_yaml(text, file)
    if document.value is None and not refused:
        message = "the file is empty"
        hint = "write one with: signoff init --profile small --type classification --use-case NAME"
        raise StandardError(file, [Fault(path="", line=None, message=message, hint=hint)])
    faults = Faults(document)
    section = SectionReader(faults).section(StandardDocument, document.value, ())
    standard = None if section is None else resolve(section, faults, text=text, file=file)
    found = _merged(refused, faults.listed())
    if standard is None or found:
        raise StandardError(file, found)
    return standard


def _merged(refused: Sequence[Fault], others: Sequence[Fault]) -> list[Fault]:
    """All in the order of the file; where YAML was refused, a second fault of the same value says nothing new."""
    places = {fault.path for fault in refused}
    kept = (fault for fault in others if fault.path not in places and not fault.path.endswith("?"))
    return sorted([*refused, *kept], key=lambda fault: fault.line or 0)
