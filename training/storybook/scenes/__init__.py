"""Synthetic picture-book scenes: every caption word knows the region that it names."""
