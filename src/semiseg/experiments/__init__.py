"""Runs as rows of a result file, and the tables of the paper made of them."""
