"""What both recipes of the built-in models use: run folders, seeds, splits, numbers in words, speech synthesisers, error rates, plots."""
