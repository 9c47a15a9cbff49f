"""Commands about retrained models: shown, tried again, exported, asked, served."""
