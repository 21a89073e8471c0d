"""Floor 5: pages and pictures made of results, each one file that needs nothing else."""
