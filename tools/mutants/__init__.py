"""Mutation testing of what keeps telegrams: `make mutants`.

One small fault at a time is put into a copy of the tree, and the tests that run that line have to
fail. What survives is either a test that is missing, or is explained in docs/mutants.md; anything
else makes the run fail. The faults are those of cosmic-ray, and a few of our own: a statement that
is left out, and SQL that says something else.
"""
