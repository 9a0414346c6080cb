"""A trained network on images and videos: what goes in, what comes out, class shares."""
