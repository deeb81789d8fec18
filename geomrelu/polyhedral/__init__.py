"""The n-D engine: exact activation regions over boxes and polytopes of any dimension."""
