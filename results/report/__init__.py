"""The page of a run or of several: its HTML, and the same charts as pictures."""
