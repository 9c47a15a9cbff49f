"""Pure search decisions: which configuration to try next, and which trial to stop. No files, no clock, no Ray."""
