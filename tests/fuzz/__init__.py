"""Bad input of every kind, made by structured mutations, and what each command has to do with it.

    python -m tests.fuzz --minutes 60          # from a fresh seed, printed; --seed N --first K repeats
    python -m pytest tests/fuzz                # a short run of a fixed seed

A case is a function of its seed and number. It holds where the command ends with 0 or 2 (1 or 130 never), where 2 comes with one
line on stderr, where nothing is a traceback, no file appears outside the case's own folder and no more memory is taken than
`tests.fuzz.running.MEMORY`.
"""
