"""`python -m tests.sim`: the simulation, by seed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # other packages of tests are found from there, too

from sim.command import main

if __name__ == "__main__":
    main()
