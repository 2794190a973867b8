"""`python -m recon3d.cli`, for where the console script is not on the path."""

from recon3d.cli.main import main

main()
