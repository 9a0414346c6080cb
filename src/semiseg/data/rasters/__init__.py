"""Large and scientific pictures: GeoTIFF and microscopy files, any number of channels, more than 8 bits, in windows."""
