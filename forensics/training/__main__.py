"""`forensics train` for torchrun: `torchrun --nproc-per-node 2 -m forensics.training CONFIG …`."""

from __future__ import annotations

from forensics.cli.train import main

if __name__ == "__main__":
    main()
