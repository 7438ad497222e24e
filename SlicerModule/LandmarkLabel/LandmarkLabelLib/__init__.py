"""What the module LandmarkLabel is made of. Nothing here needs Qt; only ``imagescene`` and ``pointlist`` touch MRML."""
