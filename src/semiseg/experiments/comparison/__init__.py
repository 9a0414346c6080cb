"""Methods beside ``supervised`` on equal terms: the runs, their table and their page."""
