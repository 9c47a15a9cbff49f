"""Commands that show runs, compare them, mend them and pass them on."""
