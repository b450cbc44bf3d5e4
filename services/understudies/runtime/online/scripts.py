"""What Redis does in one step, in Lua.

A purse is a hash: `spent` and `held` in billionths of a dollar, and under each source's name what that has spent. Its
holds are a sorted set beside it: `NAME:NANOS`, by the millisecond at which the hold is lifted. Numbers are doubles
here, exact for all that MAX_NANOS allows.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name that Redis gives it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


_PURSE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function nanos(member)
  return tonumber(string.match(member, '(%d+)$'))
end

-- What is spent and held, once the source's total is told; a purse that was forgotten forgets its holds too.
local function told(key, source, total, keep_s)
  local kept = redis.call('HMGET', key, 'spent', 'held', source)
  local spent, held, known = tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
  local more = total - known
  if not kept[1] then
    redis.call('DEL', key .. ':holds')
    redis.call('HSET', key, 'spent', '0', 'held', '0')
    redis.call('EXPIRE', key, keep_s)
    held = 0
  end
  if more > 0 then
    spent = redis.call('HINCRBY', key, 'spent', more)
    redis.call('HSET', key, source, total)
  end
  return spent, held
end
"""

RESERVE: Final = Script(
    _PURSE
    + """
local source, name, amount, lease_ms, keep_s = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local member = name .. ':' .. ARGV[3]
local granted, answer = 1, {}

for i, key in ipairs(KEYS) do
  local limit, holds = tonumber(ARGV[4 + 2 * i]), key .. ':holds'
  local spent, held = told(key, source, tonumber(ARGV[5 + 2 * i]), keep_s)
  if held > 0 then
    local due = redis.call('ZRANGEBYSCORE', holds, '-inf', now)
    if #due > 0 then
      for _, hold in ipairs(due) do held = held - nanos(hold) end
      redis.call('ZREMRANGEBYSCORE', holds, '-inf', now)
      redis.call('HSET', key, 'held', held)
    end
  end
  local used = spent + held
  if limit >= 0 and (used >= limit or used + amount > limit) and not redis.call('ZSCORE', holds, member) then
    granted = 0
  end
  answer[2 * i], answer[2 * i + 1] = spent, held
end

if granted == 1 then
  for i, key in ipairs(KEYS) do
    if redis.call('ZADD', key .. ':holds', 'NX', now + lease_ms, member) == 1 then
      answer[2 * i + 1] = redis.call('HINCRBY', key, 'held', amount)
    end
    redis.call('EXPIRE', key .. ':holds', keep_s)
  end
end
answer[1] = granted
return answer
"""
)

SETTLE: Final = Script(
    _PURSE
    + """
local source, keep_s, at = ARGV[1], ARGV[2], 3
for _, key in ipairs(KEYS) do
  local total, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  told(key, source, total, keep_s)
  local freed = 0
  for j = at + 2, at + 1 + count do
    if redis.call('ZREM', key .. ':holds', ARGV[j]) == 1 then
      freed = freed + nanos(ARGV[j])
    end
  end
  if freed > 0 then
    redis.call('HINCRBY', key, 'held', -freed)
  end
  at = at + 2 + count
end
return redis.status_reply('OK')
"""
)

PIN: Final = Script(
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

SCRIPTS: Final = (RESERVE, SETTLE, PIN)
