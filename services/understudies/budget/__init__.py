"""The budget service: ledger, return on investment, promotions and their ramp."""
