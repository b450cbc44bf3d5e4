"""Compute the economics of distillation: prices, return on investment, forecasts, task profiles; pure, without I/O."""
