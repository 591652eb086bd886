"""The runs that the policy is held against are made once."""

from tests.docs.recorded import record

__all__ = ["record"]
