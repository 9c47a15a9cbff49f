"""One Ray worker: its connection to the driver, the trials it trains, and their checkpoints."""
