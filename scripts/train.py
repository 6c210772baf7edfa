"""The same as ``hiresvae train``, as a file that a launcher can start in every process.

Example: accelerate launch scripts/train.py configs/monet_vae.yaml --set training.batch_size=64
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # So that a fresh clone trains without being installed.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from hiresvae.cli import main

    main(["train", *sys.argv[1:]])
