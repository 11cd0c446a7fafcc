"""Coverage-guided fuzzing: arbitrary bytes against what must hold of targets, queries, names and configurations.

Start reading at :mod:`tests.fuzz.catalogue`; `python -m tests.fuzz` runs it.
"""
