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

-- A purse as it is once its source's total is told; one that was forgotten has forgotten its holds too.
local function opened(key, source, total, keep_s)
  local kept = redis.call('HMGET', key, 'spent', 'held', source)
  local purse = {key = key, holds = key .. ':holds', source = source, keep_s = keep_s, new = not kept[1]}
  purse.spent, purse.held = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
  purse.total = tonumber(kept[3] or 0)
  if total > purse.total then
    purse.spent, purse.total, purse.changed = purse.spent + total - purse.total, total, true
  end
  if purse.new then
    redis.call('DEL', purse.holds)
    purse.changed = true
  end
  return purse
end

local function free(purse, held)
  purse.held, purse.changed = purse.held - held, true
end

local function keep(purse)
  if purse.changed then
    redis.call('HSET', purse.key, 'spent', purse.spent, 'held', purse.held, purse.source, purse.total)
  end
  if purse.new then
    redis.call('EXPIRE', purse.key, purse.keep_s)
  end
end
"""

RESERVE: Final = LuaScript(
    _COUNTER_FUNCTIONS
    + """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local source, amount, lease_ms, keep_s = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local member = ARGV[2] .. ':' .. ARGV[3]
local granted, purses = 1, {}

local function short(purse, limit, amount)
  local used = purse.spent + purse.held
  return used >= limit or used + amount > limit
end

for i, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[4 + 2 * i])
  local purse = opened(key, source, tonumber(ARGV[5 + 2 * i]), keep_s)
  if purse.held > 0 then
    local due = redis.call('ZRANGEBYSCORE', purse.holds, '-inf', now)
    if #due > 0 then
      for _, hold in ipairs(due) do free(purse, nanos(hold)) end
      redis.call('ZREMRANGEBYSCORE', purse.holds, '-inf', now)
    end
  end
  if limit >= 0 and short(purse, limit, amount) then
    -- A server that is short of memory may have dropped the set alone.
    if redis.call('EXISTS', purse.holds) == 0 then free(purse, purse.held) end
    if short(purse, limit, amount) and not redis.call('ZSCORE', purse.holds, member) then granted = 0 end
  end
  purses[i] = purse
end

local answer = {granted}
for i, purse in ipairs(purses) do
  if granted == 1 and redis.call('ZADD', purse.holds, 'NX', now + lease_ms, member) == 1 then
    redis.call('EXPIRE', purse.holds, keep_s)
    free(purse, -amount)
  end
  keep(purse)
  answer[2 * i], answer[2 * i + 1] = purse.spent, purse.held
end
return answer
"""
)

SETTLE: Final = LuaScript(
    _COUNTER_FUNCTIONS
    + """
local source, keep_s, at = ARGV[1], ARGV[2], 3
for _, key in ipairs(KEYS) do
  local purse, last = opened(key, source, tonumber(ARGV[at]), keep_s), at + 1 + ARGV[at + 1]
  for j = at + 2, last do
    if redis.call('ZREM', purse.holds, ARGV[j]) == 1 then free(purse, nanos(ARGV[j])) end
  end
  keep(purse)
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

SCRIPTS: Final = (RESERVE, SETTLE, GET_OR_PUT)
