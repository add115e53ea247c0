"""ControlNets of the embedded model: edges, layout, depth order."""
