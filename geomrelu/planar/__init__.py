"""The planar engine: kernels, builder, complex, checks."""
