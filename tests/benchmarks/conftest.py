import sys
from pathlib import Path

# The scripts find one another in their own folder, as when they are started.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
