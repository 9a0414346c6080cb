"""Images of any size through a network: whole, through windows or tiles, flipped, at several scales."""
