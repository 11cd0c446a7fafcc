"""Lua code for Envoy that carries out a plan, and maps what comes back: `flows` and `way_back` in Lua.

A plan is one request to one place. `LISTENING` and `BASE` stand before it: whether the listener stands for a host of
its own, and the scheme that clients speak with it.
"""

from __future__ import annotations

CARRYING = r"""
-- Carrying out a plan: one request to one place ----------------------------------------------------------------------

-- A plan as one text, its parts in this order, and back. No part has a space in it.
local PARTS = {"to", "authority", "keeps", "twin", "client", "endpoint", "namespaced", "spoken", "rerouted", "changed",
               "scheme", "host", "port", "target", "origin", "base"}

local function written(plan)
  local all = {}
  for i, part in ipairs(PARTS) do all[i] = "=" .. tostring(plan[part]) end
  return table.concat(all, " ")
end

local function read(text)
  local plan, i = {}, 0
  for value in text:gmatch("[^ ]+") do
    i = i + 1
    plan[PARTS[i]] = value:sub(2)
  end
  return plan
end

-- What Envoy's parts tell each other ends here, but for the client's X-Forwarded-Proto, of which routes make use.
local function clear(headers)
  local own = {}
  for name in pairs(headers) do
    if name:find("^x%-envoy%-") or (name:find("^x%-ns%-inject%-") and name ~= "x-ns-inject-proto") then
      own[#own + 1] = name
    end
  end
  for _, name in ipairs(own) do headers:remove(name) end
end

local function carry_out(handle, plan, kind)
  local headers = handle:headers()
  if plan.keeps ~= "true" then
    headers:remove("authorization")
    headers:remove("cookie")
  end
  if kind ~= "other" then headers:remove("proxy-authorization") end
  if headers:get(":path") ~= plan.target then headers:replace(":path", plan.target) end
  if headers:get(":authority") ~= plan.authority then headers:replace(":authority", plan.authority) end
  headers:replace("x-ns-inject-kind", kind)
  headers:replace("x-ns-inject-to", plan.to)
  handle:clearRouteCache()
end

-- The way back -------------------------------------------------------------------------------------------------------

local function is_endpoint(plan, scheme, authority)
  local host, port = split_host(authority)
  if not PORTS[scheme] or not host then return false end
  local name = registry_name(plan.scheme, plan.host, tonumber(plan.port))
  return registry_name(scheme, host, port) == name or canonical_registry(authority) == name
end

local function mapped_path(plan, path)
  local below = path:sub(5)
  if plan.client == plan.endpoint or below == "" or below == "_catalog" then return path end
  if plan.endpoint ~= "" then
    if below:sub(1, #plan.endpoint + 1) ~= plan.endpoint .. "/" then return nil end
    below = below:sub(#plan.endpoint + 2)
  end
  return plan.client ~= "" and "/v2/" .. plan.client .. "/" .. below or "/v2/" .. below
end

local function mapped_query(plan, query)
  if plan.namespaced ~= "true" then return query end
  if plan.spoken ~= "" then return with_namespace(query, form_decoded(plan.spoken)) end
  return without_namespace(query)
end

local function url_at(plan, text)
  return plan.scheme .. "://" .. authority_of(plan.scheme, plan.host, tonumber(plan.port)) .. text
end

-- A reference as the client can follow it; unchanged where it leads elsewhere.
local function reference(plan, text)
  if text:find("#.") then return text end
  local bare = text:gsub("#$", "")
  local scheme, rest = bare:match("^([A-Za-z][A-Za-z0-9+.-]*):(.*)$")
  rest = rest or bare
  local authority, after = rest:match("^//([^/?#]*)(.*)$")
  local absolute = authority ~= nil and authority ~= ""
  if absolute and not is_endpoint(plan, (scheme or plan.scheme):lower(), authority) then return text end
  local path, question, query = (after or rest):match("^([^?]*)(%??)(.*)$")
  query = question == "?" and query or nil
  local rerouted = plan.rerouted == "true"
  if not absolute and (scheme or path:sub(1, 1) ~= "/") then
    return scheme and text or joined(path, mapped_query(plan, query))
  end
  if path ~= "/v2" and path:sub(1, 4) ~= "/v2/" then
    if rerouted then return absolute and text or url_at(plan, text) end
    return absolute and LISTENING and joined(path ~= "" and path or "/", query) or text
  end
  local mapped = mapped_path(plan, path)
  if not mapped then return rerouted and url_at(plan, joined(path, query)) or text end
  local target = joined(mapped, mapped_query(plan, query))
  if target == joined(path, query) and not rerouted and not (absolute and LISTENING) then return text end
  return target
end

local function link(plan, text)
  local out, at = {}, 1
  while at <= #text do
    local stop = text:find('["<]', at)
    if not stop then break end
    local last = stop + 1
    if text:sub(stop, stop) == '"' then
      while last <= #text and text:sub(last, last) ~= '"' do last = last + (text:sub(last, last) == "\\" and 2 or 1) end
      out[#out + 1] = text:sub(at, last)
    else
      last = text:find(">", stop, true)
      if not last then break end
      out[#out + 1] = text:sub(at, stop) .. reference(plan, text:sub(stop + 1, last - 1)) .. ">"
    end
    at = last + 1
  end
  return table.concat(out) .. text:sub(at)
end

-- A challenge whose realm is a URL at the endpoint leads to the listener that the client addressed.
local function challenge(plan, text, base)
  return (text:gsub('([Rr][Ee][Aa][Ll][Mm]%s*=%s*)"(([A-Za-z]+)://([^"\\/?#]*)([^"\\]*))"',
    function(before, url, scheme, authority, rest)
      scheme = scheme:lower()
      local named = is_endpoint(plan, scheme, authority) and (scheme == plan.scheme or plan.scheme == "https")
      return named and before .. '"' .. base .. rest .. '"' or before .. '"' .. url .. '"'
    end))
end

local function map_each(headers, name, mapped)
  local count = headers:getNumValues(name)
  if count == 0 then return end
  local values, changed = {}, false
  for i = 0, count - 1 do
    local value = headers:getAtIndex(name, i)
    values[i + 1] = mapped(value)
    changed = changed or values[i + 1] ~= value
  end
  if not changed then return end
  headers:remove(name)
  for _, value in ipairs(values) do headers:add(name, value) end
end

-- Most answers have nothing of that.
local function is_of_interest(headers)
  return headers:get("location") or headers:get("link") or headers:get("www-authenticate")
end

local function for_the_client(headers, plan)
  if not is_of_interest(headers) then return end
  if plan.keeps ~= "true" then headers:remove("www-authenticate") end
  if plan.changed ~= "true" and not LISTENING then return end
  local redirect = headers:get(":status"):sub(1, 1) == "3"
  map_each(headers, "location", function(told)
    local mapped = reference(plan, told)
    return redirect and mapped == plan.origin and told or mapped
  end)
  map_each(headers, "link", function(told) return link(plan, told) end)
  if LISTENING and plan.rerouted ~= "true" then
    map_each(headers, "www-authenticate", function(told) return challenge(plan, told, plan.base) end)
  end
end

local NOTE = "ns_inject"

local function note(handle, plan, origin, more)
  local noted = handle:streamInfo():dynamicMetadata()
  plan.origin, plan.base = origin, BASE .. (handle:headers():get(":authority") or "")
  noted:set(NOTE, "plan", written(plan))
  if more then noted:set(NOTE, "more", more) end
end
"""
