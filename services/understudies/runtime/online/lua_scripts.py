"""Define the Lua scripts that Redis executes atomically.

A counter is a hash: `spent` and `held` in billionths of a dollar, and under each source's name the total that this
source has spent. Its holds are a separate sorted set: `NAME:NANOS`, by the millisecond at which the hold expires.
Lua numbers are doubles, exact for all amounts up to MAX_NANOS.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class LuaScript:
    """Script and its SHA-1, by which Redis calls it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


_COUNTER_FUNCTIONS: Final = """
local function nanos(member)
  return tonumber(string.match(member, '(%d+)$'))
end

-- Return a counter with its source's total added; one that had expired has lost its holds too.
local function load_counter(key, source, total, retention_s)
  local stored = redis.call('HMGET', key, 'spent', 'held', source)
  local counter = {key = key, holds = key .. ':holds', source = source, retention_s = retention_s, new = not stored[1]}
  counter.spent, counter.held = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
  counter.total = tonumber(stored[3] or 0)
  if total > counter.total then
    counter.spent, counter.total, counter.changed = counter.spent + total - counter.total, total, true
  end
  if counter.new then
    redis.call('DEL', counter.holds)
    counter.changed = true
  end
  return counter
end

local function release(counter, held)
  counter.held, counter.changed = counter.held - held, true
end

local function store(counter)
  if counter.changed then
    redis.call('HSET', counter.key, 'spent', counter.spent, 'held', counter.held, counter.source, counter.total)
  end
  if counter.new then
    redis.call('EXPIRE', counter.key, counter.retention_s)
  end
end
"""

RESERVE: Final = LuaScript(
    _COUNTER_FUNCTIONS
    + """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local source, amount, lease_ms, retention_s = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local member = ARGV[2] .. ':' .. ARGV[3]
local granted, counters = 1, {}

local function exceeds(counter, limit, amount)
  local used = counter.spent + counter.held
  return used >= limit or used + amount > limit
end

for i, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[4 + 2 * i])
  local counter = load_counter(key, source, tonumber(ARGV[5 + 2 * i]), retention_s)
  if counter.held > 0 then
    local due = redis.call('ZRANGEBYSCORE', counter.holds, '-inf', now)
    if #due > 0 then
      for _, hold in ipairs(due) do release(counter, nanos(hold)) end
      redis.call('ZREMRANGEBYSCORE', counter.holds, '-inf', now)
    end
  end
  if limit >= 0 and exceeds(counter, limit, amount) then
    -- A server that is short of memory may have dropped the set alone.
    if redis.call('EXISTS', counter.holds) == 0 then release(counter, counter.held) end
    if exceeds(counter, limit, amount) and not redis.call('ZSCORE', counter.holds, member) then granted = 0 end
  end
  counters[i] = counter
end

local answer = {granted}
for i, counter in ipairs(counters) do
  if granted == 1 and redis.call('ZADD', counter.holds, 'NX', now + lease_ms, member) == 1 then
    redis.call('EXPIRE', counter.holds, retention_s)
    release(counter, -amount)
  end
  store(counter)
  answer[2 * i], answer[2 * i + 1] = counter.spent, counter.held
end
return answer
"""
)

SETTLE: Final = LuaScript(
    _COUNTER_FUNCTIONS
    + """
local source, retention_s, at = ARGV[1], ARGV[2], 3
for _, key in ipairs(KEYS) do
  local counter, last = load_counter(key, source, tonumber(ARGV[at]), retention_s), at + 1 + ARGV[at + 1]
  for j = at + 2, last do
    if redis.call('ZREM', counter.holds, ARGV[j]) == 1 then release(counter, nanos(ARGV[j])) end
  end
  store(counter)
  at = last + 1
end
return redis.status_reply('OK')
"""
)

GET_OR_PUT: Final = LuaScript(
    """
local value = redis.call('GET', KEYS[1])
if value then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return value
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
)

ACQUIRE_LEASE: Final = LuaScript(
    """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
)

SCRIPTS: Final = (RESERVE, SETTLE, GET_OR_PUT, ACQUIRE_LEASE)
