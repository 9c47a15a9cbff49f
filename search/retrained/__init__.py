"""The retrained models of a run: their folders and reports, which one is the champion, and finding one."""
