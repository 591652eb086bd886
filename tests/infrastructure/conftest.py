"""The runs that the pages and the policy are held against are made once."""

from tests.docs.recorded import record

__all__ = ["record"]
