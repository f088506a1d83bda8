"""Every attempt to get around the guard over HTTP, as data: none may go through, and most do on a bare server."""

from bypass_attempt import Attempt
from bypass_evidence import EVIDENCE
from bypass_files import FILES_OF_A_RELEASE
from bypass_release import RELEASE
from bypass_spellings import spelled

CATALOGUE: tuple[Attempt, ...] = (*RELEASE, *EVIDENCE, *FILES_OF_A_RELEASE, *spelled())
