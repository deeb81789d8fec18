"""The one-dimensional engine: the pieces of segments between inputs of any dimension."""
