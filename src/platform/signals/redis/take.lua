-- Takes one from the quota of KEYS[1], as the limiter within a process does (the generic cell rate algorithm): what is
-- kept is when the quota will be whole again. ARGV[1]: µs in which one comes back. ARGV[2]: the quota.
-- Answers {1, how many more at once}, or {0, µs until the next}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local one = tonumber(ARGV[1])
local all = one * tonumber(ARGV[2])

local whole_at = tonumber(redis.call('GET', KEYS[1]) or now) or now
-- The upper end heals a clock that was set back and a quota that was lowered.
whole_at = math.min(math.max(whole_at, now), now + all) + one
local wait = whole_at - all - now
if wait > 0 then
    return {0, wait}
end
-- A number of this size would be rounded if Lua wrote it down by itself.
redis.call('SET', KEYS[1], string.format('%.0f', whole_at), 'PX', math.ceil((whole_at - now) / 1000))
return {1, math.floor((now + all - whole_at) / one)}
