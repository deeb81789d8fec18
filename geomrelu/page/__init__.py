"""Interactive pages: one HTML file each that needs no network, of a partition of the plane or of a surface in space.

Arrays (`document`) beside a drawing program in plain JavaScript (``page.js`` and ``mesh.js``, and what both share in
``common.js``: WebGL, or for the plane a 2-D canvas where there is none).
"""

from geomrelu.page.flat import COLOR_NAMES, to_html
from geomrelu.page.mesh import mesh_to_html

__all__ = ["COLOR_NAMES", "mesh_to_html", "to_html"]
