"""``python -m semiseg`` (and ``torchrun -m semiseg``) is the command ``semiseg``."""

from semiseg.cli import main

if __name__ == "__main__":
    main()
