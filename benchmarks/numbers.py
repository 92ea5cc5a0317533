"""What telling a model the numbers of the equation is worth, and how well it reads them back.

Models that differ in how a number is encoded are trained on Kolmogorov flow, Gray-Scott and Burgers
together, on runs of which the main number (viscosity, feed rate, viscosity) lies inside a range
that has a gap in its middle. They are scored on unseen runs inside, in the gap and beyond the
range, told all of the numbers, half of them or none, and asked for the numbers after four frames.
A model trained without numbers and copying the last frame stand beside them.

Data and finished trainings are kept in a folder, and a later call goes on from there.

example: python benchmarks/numbers.py --keep runs/numbers --json numbers.json
"""

import sys

if __name__ == "numbers":
    # Python has a module of this name, and a script's folder comes first on the path: whoever
    # imports `numbers` from a script in this folder means that one.
    folder = sys.path.pop(0)
    del sys.modules["numbers"]
    import numbers  # noqa: F401  # it takes this module's place

    sys.path.insert(0, folder)
elif __name__ == "__main__":
    from number_study import main

    main(__doc__)
