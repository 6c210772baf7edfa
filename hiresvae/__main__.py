"""``python -m hiresvae`` is the command ``hiresvae``."""

from hiresvae.cli import main

if __name__ == "__main__":
    main()
