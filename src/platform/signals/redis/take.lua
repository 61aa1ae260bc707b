-- Takes one from the quota of KEYS[1], with the same algorithm as the in-process limiter (generic cell rate algorithm).
-- The stored value is the time at which the quota is full again. ARGV[1]: µs per refilled unit. ARGV[2]: the quota.
-- Returns {1, remaining}, or {0, µs until the next}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local one = tonumber(ARGV[1])
local all = one * tonumber(ARGV[2])

local whole_at = tonumber(redis.call('GET', KEYS[1]) or now) or now
-- The upper bound corrects for a clock that was set back or a quota that was lowered.
whole_at = math.min(math.max(whole_at, now), now + all) + one
local wait = whole_at - all - now
if wait > 0 then
    return {0, wait}
end
-- Lua's own conversion would round a number of this size.
redis.call('SET', KEYS[1], string.format('%.0f', whole_at), 'PX', math.ceil((whole_at - now) / 1000))
return {1, math.floor((now + all - whole_at) / one)}
