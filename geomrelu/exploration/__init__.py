"""Regions around a point, without the partition of a domain: for inputs of many dimensions.

`forms`: a region's affine forms with bounds, and exactly; `nearest`: where a form is zero in a region, next to x0;
`pages`: bounds for many forms at once; `facets`: which of them have a facet; `start`: the region of x0; `walk`: the
regions in order of distance; `ball`: the largest ball in a region; `result`, `build`.
"""
