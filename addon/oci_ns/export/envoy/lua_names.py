"""Lua code for Envoy: names of registries, queries, and errors; `reference`, `distribution` and `spec_error` in Lua."""

from __future__ import annotations

NAMES = r"""
-- Names of registries -----------------------------------------------------------------------------------------------

local PORTS = {http = 80, https = 443}
local HUB = {["docker.io"] = true, ["index.docker.io"] = true, ["registry-1.docker.io"] = true}

local function is_plain_host(text)
  if text == "" or text:find("[^A-Za-z0-9.-]") then return false end
  local dotted = "." .. text .. "."
  return not (dotted:find("..", 1, true) or dotted:find(".-", 1, true) or dotted:find("-.", 1, true))
end

-- A host, IPv6 without its brackets, and its port or nil; nil where the text is neither.
local function split_host(text)
  local host, port = text:match("^%[([0-9a-fA-F:.]+)%](.*)$")
  if host then
    if not host:find(":.*:") or not (port == "" or port:sub(1, 1) == ":") then return nil end
    port = port:sub(2)
  else
    host, port = text:match("^([^:]*):?(.*)$")
    if not is_plain_host((host:gsub("%.$", ""))) then return nil end
  end
  if port == "" then return host, nil end
  local number = port:find("^%d+$") and #port < 10 and tonumber(port, 10) or 0
  if number < 1 or number > 65535 then return nil end
  return host, number
end

local function is_host(text)
  local host = text:gsub(":%d+$", "")
  return is_plain_host(host) or host:find("^%[[A-Fa-f0-9:.]+%]$") ~= nil
end

local function registry_name(scheme, host, port)
  local name = host:lower():gsub("%.$", "")
  if name:find(":", 1, true) and name:sub(1, 1) ~= "[" then name = "[" .. name .. "]" end
  if port and port ~= PORTS[scheme] then return name .. ":" .. string.format("%d", port) end
  return HUB[name] and "docker.io" or name
end

local function canonical_registry(text)
  local host, port = split_host(text)
  if not host then return text:lower() end
  return registry_name(port == 80 and "http" or "https", host, port)
end

local function looks_like_host(component)
  return component == "localhost" or component:find("[.:]") ~= nil
end

local function authority_of(scheme, host, port)
  if host:find(":", 1, true) and host:sub(1, 1) ~= "[" then host = "[" .. host .. "]" end
  return port == PORTS[scheme] and host or host .. ":" .. string.format("%d", port)
end

-- Queries -----------------------------------------------------------------------------------------------------------

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function form_decoded(text)
  return unescaped((text:gsub("+", " ")))
end

local function form_encoded(text)
  return (text:gsub("[^A-Za-z0-9_.~-]", function(c) return c == " " and "+" or string.format("%%%02X", c:byte()) end))
end

local function parameters(query)
  local all = {}
  for each in (query .. "&"):gmatch("([^&]*)&") do all[#all + 1] = each end
  return all
end

local function is_named(parameter, name)
  local key = parameter:match("^[^=]*")
  return key == name or (key:find("%", 1, true) and form_decoded(key) == name)
end

local function value_of(parameter)
  return parameter:match("^[^=]*=(.*)$") or ""
end

local function namespaces_in(query)
  local all = {}
  if not query or query == "" then return all end
  for _, each in ipairs(parameters(query)) do
    if is_named(each, "ns") then all[#all + 1] = form_decoded(value_of(each)) end
  end
  return all
end

local function without_namespace(query)
  if not query or query == "" then return query end
  local kept, all = {}, parameters(query)
  for _, each in ipairs(all) do
    if not is_named(each, "ns") then kept[#kept + 1] = each end
  end
  if #kept == #all then return query end
  local rest = table.concat(kept, "&")
  return rest ~= "" and rest or nil
end

local function with_namespace(query, namespace)
  if query and query ~= "" then
    local all = namespaces_in(query)
    local plain = query:sub(1, 3) == "ns=" or query:find("&ns=", 1, true)
    if #all == 1 and all[1] == namespace and plain and not namespace:find("[%%;]") then return query end
  end
  local parameter = "ns=" .. form_encoded(namespace)
  local rest = without_namespace(query)
  return rest and rest ~= "" and rest .. "&" .. parameter or parameter
end

local function with_first_namespace_only(query)
  if not query or query == "" then return query end
  local all, first, spoken = parameters(query), nil, 0
  for i, each in ipairs(all) do
    if is_named(each, "ns") then
      spoken = spoken + 1
      if not first or (value_of(all[first]) == "" and value_of(each) ~= "") then first = i end
    end
  end
  if spoken < 2 then return query end
  local kept = {}
  for i, each in ipairs(all) do
    if i == first or not is_named(each, "ns") then kept[#kept + 1] = each end
  end
  return table.concat(kept, "&")
end

local function joined(path, query)
  return query and path .. "?" .. query or path
end

-- Errors ------------------------------------------------------------------------------------------------------------

local function json(text)
  return '"' .. text:gsub('[%c"\\\127-\255]', function(c)
    return c:byte() < 128 and string.format("\\u%04x", c:byte()) or "\\ufffd"
  end) .. '"'
end

-- An error as the distribution-spec has it.
local function refuse(handle, status, code, message, detail)
  local more = detail and detail ~= "" and ', "detail": ' .. json(detail) or ""
  local body = '{"errors": [{"code": ' .. json(code) .. ', "message": ' .. json(message) .. more .. "}]}"
  local fields = {["content-type"] = "application/json", ["docker-distribution-api-version"] = "registry/2.0"}
  fields[":status"] = tostring(status)
  handle:respond(fields, body)
end
"""
