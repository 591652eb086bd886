"""The runs that the pages are held against are made once."""

from tests.docs.recorded import record

__all__ = ["record"]
