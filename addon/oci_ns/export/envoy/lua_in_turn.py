"""Lua code for Envoy's own second listener, where the places that a pull may be sent to are tried in turn."""

from __future__ import annotations

IN_TURN = r"""
-- One request for each place that is tried, in the order of their plans. Envoy's retry makes it anew while the answer
-- says that the next place is due. What the places before said is kept by the request's number, for a while: a client
-- that is gone does not ask again.

local said = {}
local KEPT = 65536

function envoy_on_request(handle)
  local headers = handle:headers()
  local count, number = tonumber(headers:get("x-ns-inject-count")), tonumber(headers:get("x-ns-inject-number"))
  local before = said[number] or {at = 1, absent = true}
  said[number], said[number - KEPT] = before, nil
  local several, absence = headers:get("x-ns-inject-several"), headers:get("x-ns-inject-absence")
  local subject, code = form_decoded(headers:get("x-ns-inject-subject")), headers:get("x-ns-inject-code")
  if before.at > count then
    local told = table.concat(before, "; ")
    said[number] = nil
    if before.absent then return refuse(handle, 404, code, "no endpoint has " .. subject .. ": " .. told) end
    return refuse(handle, 502, "UNAVAILABLE", "no endpoint serves " .. subject .. ": " .. told)
  end
  local plan = read(headers:get("x-ns-inject-plan-" .. before.at))
  local twin = headers:get("x-ns-inject-plan-" .. (before.at + 1))
  twin = twin and read(twin).twin == "true" or false
  local origin = headers:get(":path")
  note(handle, plan, origin, table.concat({string.format("%d", number), several, absence, tostring(twin)}, " "))
  clear(headers)
  carry_out(handle, plan, "pull")
end

function envoy_on_response(handle)
  local noted = handle:streamInfo():dynamicMetadata():get(NOTE)
  if not noted then return end
  local headers, plan = handle:headers(), read(noted.plan)
  local number, several, absence, twin = noted.more:match("^(%d+) (%l+) (%l+) (%l+)$")
  local status, failed = tonumber(headers:get(":status")), headers:get("x-ns-inject-failed")
  headers:remove("x-ns-inject-failed")
  number = tonumber(number)
  local before = said[number]
  if not before then return end
  if twin == "true" and failed == "connect" then
    before.at = before.at + 1
    headers:add("x-ns-inject-next", "1")
    return
  end
  if several == "true" and (failed or status >= 500 or (status == 404 and absence ~= "true")) then
    before.at = before.at + (twin == "true" and 2 or 1)
    before.absent = before.absent and not failed and status == 404
    before[#before + 1] = plan.authority .. ": " .. (failed and "no answer" or tostring(status))
    headers:add("x-ns-inject-next", "1")
    return
  end
  said[number] = nil
  for_the_client(headers, plan)
end
"""
