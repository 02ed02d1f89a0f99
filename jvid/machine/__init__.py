"""The machine that runs: cores, memory, devices."""
