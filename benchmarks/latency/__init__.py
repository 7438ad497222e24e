"""What a click costs, beside one plain forward of timm's hrnet_w32; and what a training step costs."""
