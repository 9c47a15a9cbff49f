"""The page of a run: charts as data, the HTML that draws them, and the same charts as pictures."""
