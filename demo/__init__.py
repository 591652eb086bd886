"""A local stage for the real thing: Lambda's runtime, a mail server, and what runs them.

The tests stand on the same stage (tests/e2e). Nothing of this is shipped.
"""
