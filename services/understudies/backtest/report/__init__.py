"""Build the report of a backtest and render it as JSON, HTML and terminal output."""
