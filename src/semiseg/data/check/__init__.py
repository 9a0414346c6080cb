"""What ``semiseg data check`` finds in a data set and in mask files."""
