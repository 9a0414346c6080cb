"""What lies in a folder: which files are images and which their masks, or which tool's export it is."""
