import { createHash } from 'node:crypto';

/** A Lua script with the name Redis caches it under. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/** Reads a key's fence. Numbers above 2^53 are no version of ours: a double could not compare them. */
const FENCE = `
local function number(text)
  local n = text and tonumber(text)
  if n and n >= 0 and n <= 9007199254740992 then return n end
  return nil
end
local epoch, version = number(ARGV[1]), number(ARGV[2])
local function behind(e1, v1, e2, v2) return e1 < e2 or (e1 == e2 and v1 < v2) end
`;

/**
 * Compare and set, for many counters of one slot.
 *
 * KEYS     the counters
 * ARGV     epoch, version (the writer's), then for each key in turn: expiry in ms, how (a sum: 1 keep larger amounts (isAmount),
 *          2 also set `updated_ms` to this server's time, 4 only where the key exists), number of pairs n, n × (field, value)
 * Returns  three texts for each key that was not written: its number in KEYS (from 1), then the stored epoch and version,
 *          or 'foreign' and why: the key is no hash. Such a key, its expiry included, is as it was. And three for each
 *          written key of which a larger `spend_micros` was kept: its number, 'kept', the amount.
 *
 * A hash whose epoch or version cannot be read has no fence to respect and is written.
 * HSET goes in pieces because Lua's unpack is bounded.
 */
export const COMPARE_AND_SET = script(`${FENCE}
local answer, at = {}, 3
local time = redis.call('TIME')
local nowMs = time[1] .. string.sub(string.format('%06d', time[2]), 1, 3)
local function isAmount(field)
  return field == 'spend_micros' or field == 'impressions' or field == 'contaminated' or string.sub(field, 1, 6) == 'units:'
end
-- As decimal text: a double would round amounts above 2^53.
local function larger(stored, value)
  if not stored or not string.find(stored, '^%d+$') or #stored < #value then return value end
  if #stored > #value or stored > value then return stored end
  return value
end
local function say(i, a, b)
  answer[#answer + 1] = tostring(i)
  answer[#answer + 1] = a
  answer[#answer + 1] = b
end
for i, key in ipairs(KEYS) do
  local expiry, how, first = ARGV[at], tonumber(ARGV[at + 1]), at + 3
  local last = first - 1 + 2 * tonumber(ARGV[at + 2])
  local stored = redis.pcall('HMGET', key, 'epoch', 'version')
  if stored.err then
    say(i, 'foreign', stored.err)
  else
    local e, v = number(stored[1]), number(stored[2])
    if e and v and behind(epoch, version, e, v) then
      say(i, stored[1], stored[2])
    elseif how < 4 or redis.call('EXISTS', key) == 1 then
      if how % 2 == 1 then
        for field = first, last, 2 do
          if isAmount(ARGV[field]) then
            local amount = larger(redis.call('HGET', key, ARGV[field]), ARGV[field + 1])
            if ARGV[field] == 'spend_micros' and amount ~= ARGV[field + 1] then say(i, 'kept', amount) end
            ARGV[field + 1] = amount
          end
        end
      end
      local piece = math.min(first + 1999, last)
      redis.call('HSET', key, 'epoch', ARGV[1], 'version', ARGV[2], unpack(ARGV, first, piece))
      for from = piece + 1, last, 2000 do
        redis.call('HSET', key, unpack(ARGV, from, math.min(from + 1999, last)))
      end
      if how % 4 >= 2 then redis.call('HSET', key, 'updated_ms', nowMs) end
      redis.call('PEXPIRE', key, expiry)
    end
  end
  at = last + 1
end
return answer
`);

/**
 * Moves a writer's marker on, after its counters are written.
 *
 * KEYS     the marker
 * ARGV     epoch, version (the writer's), expected epoch, expected version (-1, -1: nothing is expected)
 * Returns  'lost' when the marker is missing or behind what is expected, and then changes nothing, so that asking again
 *          after a lost reply gives the same answer; else what the marker holds afterwards: epoch, version. It never goes back.
 *          Then this server's time: seconds, microseconds.
 */
export const MOVE_MARKER = script(`${FENCE}
local time = redis.call('TIME')
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local e, v = number(stored[1]), number(stored[2])
local known = e and v
local wantEpoch, wantVersion = tonumber(ARGV[3]), tonumber(ARGV[4])
if wantEpoch >= 0 and (not known or behind(e, v, wantEpoch, wantVersion)) then return {'lost'} end
if known and behind(epoch, version, e, v) then return {stored[1], stored[2], time[1], time[2]} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'version', ARGV[2])
return {ARGV[1], ARGV[2], time[1], time[2]}
`);
