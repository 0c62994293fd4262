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
 * ARGV     epoch, version (the writer's), then for each run of keys that are written alike: expiry in ms, how (a sum: 1 keep larger
 *          amounts (isAmount), 2 also set `updated_ms` to this server's time, 4 only where the key exists), number of keys, number
 *          of fields n, n × field, and for each key in turn n × value
 * Returns  three texts for each key that was not written: its number in KEYS (from 1), then the stored epoch and version,
 *          or 'foreign' and why: the key is no hash. Such a key, its expiry included, is as it was. And three for each
 *          written key of which a larger `spend_micros` was kept: its number, 'kept', the amount.
 *
 * A hash whose epoch or version cannot be read has no fence to respect and is written.
 * HSET goes in pieces because Lua's unpack is bounded. What a key costs here is mostly the texts that it brings and the commands
 * that are called for it, so what is the same for many keys is said once.
 */
export const COMPARE_AND_SET = script(`${FENCE}
local KEYS, ARGV, call, pcall, unpack = KEYS, ARGV, redis.call, redis.pcall, unpack
local answer = {}
local time = call('TIME')
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
local function keepLarger(i, row, last)
  for at = 6, last, 2 do
    local field, value = row[at], row[at + 1]
    if isAmount(field) then
      local amount = larger(call('HGET', row[1], field), value)
      if field == 'spend_micros' and amount ~= value then say(i, 'kept', amount) end
      row[at + 1] = amount
    end
  end
end
local PIECE = 2001
local at, first = 3, 1
while first <= #KEYS do
  local expiry, how, last, fields = ARGV[at], tonumber(ARGV[at + 1]), first + tonumber(ARGV[at + 2]) - 1, tonumber(ARGV[at + 3])
  if last < first then return redis.error_reply('a run of no keys') end
  -- What HSET is called with: of the next key only itself and the values are others.
  local row, width = {'', 'epoch', ARGV[1], 'version', ARGV[2]}, 5 + 2 * fields
  for field = 1, fields do row[4 + 2 * field], row[5 + 2 * field] = ARGV[at + 3 + field], '' end
  local given = width
  if how % 4 >= 2 then row[width + 1], row[width + 2], width = 'updated_ms', nowMs, width + 2 end
  at = at + 4 + fields
  for i = first, last do
    local key = KEYS[i]
    local stored = pcall('HMGET', key, 'epoch', 'version')
    if stored.err then
      say(i, 'foreign', stored.err)
    else
      local e, v = number(stored[1]), number(stored[2])
      if e and v and behind(epoch, version, e, v) then
        say(i, stored[1], stored[2])
      elseif how < 4 or call('EXISTS', key) == 1 then
        row[1] = key
        for value = 1, fields do row[5 + 2 * value] = ARGV[at + value - 1] end
        if how % 2 == 1 then keepLarger(i, row, given) end
        call('HSET', unpack(row, 1, math.min(width, PIECE)))
        for from = PIECE + 1, width, PIECE - 1 do
          call('HSET', key, unpack(row, from, math.min(width, from + PIECE - 2)))
        end
        call('PEXPIRE', key, expiry)
      end
    end
    at = at + fields
  end
  first = last + 1
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
