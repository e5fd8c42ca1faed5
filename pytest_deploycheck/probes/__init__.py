"""Instruments: they act and measure, and never judge."""
