"""Economics of distilling: prices, return on investment, forecasts and what is worth trying. Pure: no I/O."""
