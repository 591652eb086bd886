"""`make verify-aws`: recycles services of its own on a real account; writes what AWS did."""
