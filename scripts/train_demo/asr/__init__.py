"""Trains the built-in recogniser: see README.md in the folder above."""
