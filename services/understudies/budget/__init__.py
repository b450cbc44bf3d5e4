"""The budget service: cost ledger, return on investment, promotions and the canary ramp."""
