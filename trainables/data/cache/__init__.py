"""The folder of decoded images that the processes of a machine share, and its bound."""
