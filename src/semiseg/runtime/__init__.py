"""The machine a run is on: device, processes, precision, optional libraries, versions."""
