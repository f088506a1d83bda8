"""What people wrote, made fit for a page; the same for every stage."""

from signoff.text import cell, printable

__all__ = ["cell", "printable"]
