-- What else of a call has a price of its own. Calls of which nothing has, and all rows from before, have zeros.

ALTER TABLE invocations MODIFY COLUMN usage Tuple(
    prompt_tokens UInt32,
    completion_tokens UInt32,
    cached_tokens UInt32,
    details Tuple(
        cache_write_tokens UInt32,
        cache_write_1h_tokens UInt32,
        audio_prompt_tokens UInt32,
        audio_completion_tokens UInt32,
        web_searches UInt32,
        service_tier String,
        stated_cost_usd Nullable(Decimal(18, 9))
    )
);
