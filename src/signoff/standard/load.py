"""A standard's text to the resolved standard."""

from signoff.errors import Fault, StandardError
from signoff.standard.model import Standard
from signoff.standard.resolve import resolve
from signoff.standard.schema import StandardDocument
from signoff.standard.shape import Faults, SectionReader
from signoff.standard.strict_yaml import load_yaml


def load_standard(text: str, file: str) -> Standard:
    """Read a standard and fill in what profile and model types bring.

    Args:
        text: the content of the file, decoded as UTF-8 with its line ends as they are: the standard's digest
            is that of these bytes.
        file: its name or path, for messages and origins.

    Raises:
        StandardError: the text is not strict YAML, or the standard has faults; all of them are listed.
    """
    document = load_yaml(text, file)
    if document.value is None:
        message = "the file is empty"
        hint = "write one with: signoff init --profile small --type classification --use-case NAME"
        raise StandardError(file, [Fault(path="", line=None, message=message, hint=hint)])
    faults = Faults(document)
    section = SectionReader(faults).section(StandardDocument, document.value, ())
    standard = None if section is None else resolve(section, faults, text=text, file=file)
    if standard is None or faults.listed():
        raise StandardError(file, faults.listed())
    return standard
