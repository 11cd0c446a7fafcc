"""The Lua code that Envoy runs for each request: reads the table as `tabulation` says, edits as `distribution` does.

Envoy's own matchers and mutations would do for most of it, but not for all: they sort and decode the parameters of a
query that they edit, and cannot tell a repository from what follows it. Knows Envoy's `envoy.filters.http.lua`; the
table is in `export_envoy_table`, all else of the configuration in `export_envoy`.
"""

from __future__ import annotations

PREFIX = "x-ns-inject-"
"""What the names of the header fields begin with that this Envoy's parts tell each other; none of them leaves it."""

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

CARRYING = r"""
-- Carrying out a plan: one request to one place ----------------------------------------------------------------------

-- A plan as one text, its parts in this order, and back. No part has a space in it.
local PARTS = {"to", "authority", "keeps", "twin", "client", "endpoint", "namespaced", "spoken", "rerouted", "changed",
               "scheme", "host", "port", "target"}

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

local function for_the_client(headers, plan, origin, base)
  if not (headers:get("location") or headers:get("link") or headers:get("www-authenticate")) then return end
  if plan.keeps ~= "true" then headers:remove("www-authenticate") end
  if plan.changed ~= "true" and not LISTENING then return end
  local redirect = headers:get(":status"):sub(1, 1) == "3"
  map_each(headers, "location", function(told)
    local mapped = reference(plan, told)
    return redirect and mapped == origin and told or mapped
  end)
  map_each(headers, "link", function(told) return link(plan, told) end)
  if LISTENING and plan.rerouted ~= "true" then
    map_each(headers, "www-authenticate", function(told) return challenge(plan, told, base) end)
  end
end

local NOTE = "ns_inject"

local function note(handle, plan, origin, more)
  local noted = handle:streamInfo():dynamicMetadata()
  noted:set(NOTE, "plan", written(plan))
  noted:set(NOTE, "origin", origin)
  noted:set(NOTE, "base", BASE .. (handle:headers():get(":authority") or ""))
  if more then noted:set(NOTE, "more", more) end
end
"""

LOOKUP = r"""
-- Targets ------------------------------------------------------------------------------------------------------------

-- How many bytes of the raw text its first decoded bytes take.
local function raw_length(raw, decoded)
  if not raw:find("%", 1, true) then return math.min(decoded, #raw) end
  local at = 1
  for _ = 1, decoded do
    if at > #raw then break end
    at = at + (raw:find("^%%%x%x", at) and 3 or 1)
  end
  return at - 1
end

local function is_component(text)
  local _, last = text:find("^[a-z0-9]+")
  while last and last < #text do
    local _, separator = text:find("^%.", last + 1)
    if not separator then _, separator = text:find("^__?", last + 1) end
    if not separator then _, separator = text:find("^%-+", last + 1) end
    if not separator then return false end
    _, last = text:find("^[a-z0-9]+", separator + 1)
  end
  return last ~= nil
end

local function is_repository(text)
  for component in (text .. "/"):gmatch("([^/]*)/") do
    if not is_component(component) then return false end
  end
  return true
end

local function is_tag(text)
  return #text <= 128 and text:find("^[A-Za-z0-9_][A-Za-z0-9._-]*$") ~= nil
end

local function is_digest(text)
  local algorithm = text:match("^([a-z0-9+._-]+):[A-Za-z0-9=_-]+$")
  if not algorithm then return false end
  return not (algorithm:find("^[+._-]") or algorithm:find("[+._-]$") or algorithm:find("[+._-][+._-]"))
end

local function cut(text)
  local head, last = text:match("^(.*)/([^/]*)$")
  if head then return head, last end
  return "", text
end

-- What is asked by the decoded path below /v2/, how long its repository is, and the reference's suffix.
local function operation_of(below)
  local head, last = cut(below)
  local repository, kind = cut(head)
  local operation, suffix = "other", ""
  if kind == "uploads" and repository:sub(-6) == "/blobs" then
    repository, operation = repository:sub(1, -7), "upload"
  elseif kind == "manifests" then
    if is_tag(last) then operation, suffix = "manifest", ":" .. last
    elseif is_digest(last) then operation, suffix = "manifest", "@" .. last end
  elseif kind == "blobs" then
    if is_digest(last) then operation, suffix = "blob", "@" .. last
    elseif last == "uploads" then operation = "upload" end
  elseif kind == "tags" and last == "list" then operation = "tags"
  elseif kind == "referrers" and is_digest(last) then operation, suffix = "referrers", "@" .. last end
  if operation == "other" or not is_repository(repository) then return "other", #below, "" end
  return operation, #repository, suffix
end

local function parse(text)
  local path, question, query = text:match("^([^?]*)(%??)(.*)$")
  local decoded = unescaped(path)
  if decoded:sub(1, 3) ~= "/v2" or not (#decoded == 3 or decoded:sub(4, 4) == "/") then return nil end
  local target = {path = path, query = question == "?" and query or nil, raw = "", scope = "", suffix = ""}
  target.base = path:sub(1, raw_length(path, 3))
  target.tail = path:sub(#target.base + 1)
  target.slash = ""
  local below = decoded:sub(5)
  if below == "" then target.operation = "ping" return target end
  if below == "_catalog" then target.operation = "catalog" return target end
  local length
  target.operation, length, target.suffix = operation_of(below)
  local slash = raw_length(target.tail, 1)
  target.slash = target.tail:sub(1, slash)
  local rest = target.tail:sub(slash + 1)
  local split = raw_length(rest, length)
  target.raw, target.tail, target.scope = rest:sub(1, split), rest:sub(split + 1), below:sub(1, length)
  return target
end

local KINDS = {ping = "root", catalog = "root", tags = "tag", referrers = "digest", blob = "blob"}

local function kind_of(method, target)
  if method ~= "GET" and method ~= "HEAD" then return "rest" end
  if target.operation == "manifest" then return target.suffix:sub(1, 1) == "@" and "digest" or "tag" end
  return KINDS[target.operation] or "rest"
end

-- How many bytes the first components of the repository have.
local function length_of(scope, components)
  local length = 0
  for _ = 1, components do
    local slash = scope:find("/", length + 2, true)
    if not slash then return #scope end
    length = slash - 1
  end
  return length
end

local function moved(target, strip, put, reference)
  local rest = target.raw:sub(raw_length(target.raw, strip > 0 and strip + 1 or 0) + 1)
  local repository = put ~= "" and rest ~= "" and put .. "/" .. rest or put .. rest
  local tail = target.tail
  if reference ~= "" and target.operation == "manifest" then
    tail = tail:sub(1, raw_length(tail, #unescaped(tail) - #target.suffix + 1)) .. reference
  end
  return repository ~= "" and target.base .. target.slash .. repository .. tail or nil
end

-- Whether some servers find another path than stands there, and either of the two is below /v2.
local function is_misleading(path)
  if path:sub(1, 3) == "/v2" and not path:find("/.", 1, true) and not path:find("[%%\\]") then return false end
  local decoded = unescaped(path):gsub("\\", "/")
  local kept, dots = {}, false
  for component in (decoded .. "/"):gmatch("([^/]*)/") do
    dots = dots or component == "." or component == ".."
    if component == ".." then kept[#kept] = nil
    elseif component ~= "" and component ~= "." then kept[#kept + 1] = component end
  end
  local below = kept[1] == "v2" or decoded == "/v2" or decoded:sub(1, 4) == "/v2/"
  return below and (decoded:sub(1, 3) ~= "/v2" or dots)
end

-- The table: its parts are numbered, and filled in below -------------------------------------------------------------

local step, way, ways, scopes, hosts = {}, {}, {}, {}, {}
local paths = {exactly = {}, below = {}, patterns = {}}
local insecure = {}

local function patterns(name)
  local all = {}
  if not name:match("[^%]]*$"):find(":", 1, true) then
    local at = name:find(".", 1, true)
    while at do
      all[#all + 1] = "*" .. name:sub(at)
      at = name:find(".", at + 1, true)
    end
  end
  all[#all + 1] = "*"
  return all
end

local function longest(map, name)
  if map[name] then return map[name] end
  for _, pattern in ipairs(patterns(name)) do
    if map[pattern] then return map[pattern] end
  end
end

local function above(scope)
  local slash = scope:match("^.*()/")
  return slash and scope:sub(1, slash - 1) or ""
end

-- The ways of what is asked for, and the key that they stand under.
local function found(place, target)
  if target.scope == "" then return place.root, "" end
  local exactly, below = place.exactly, place.below
  if exactly then
    local key = target.scope .. target.suffix
    if exactly[key] then return exactly[key], key end
    if exactly[target.scope] then return exactly[target.scope], target.scope end
  end
  local key = target.scope
  repeat key = above(key) until below[key] or key == ""
  return below[key], key
end

local function told_by_path(host, target, source, first)
  local scope = target.scope
  for _, key in ipairs({scope .. target.suffix, scope}) do
    if paths.exactly[key] ~= nil then return paths.exactly[key] end
  end
  local key = scope
  repeat
    key = above(key)
    if paths.below[key] ~= nil then return paths.below[key] end
  until key == ""
  for _, pattern in ipairs(patterns(source)) do
    local own = host.patterns and host.patterns[pattern]
    if own == nil then own = paths.patterns[pattern] end
    if own ~= nil then return own end
  end
end

-- The ways of a request without an ns, the registry that it is for, and why it cannot be told.
local function plain(host, name, target)
  local all, key = found(scopes[host.plain], target)
  local first, rest = target.scope:match("^([^/]*)/(.+)$")
  if key ~= "" or not rest or not looks_like_host(first) then return all, name end
  if first:find(":443$") or first:find(":80$") then return nil, name, "a registry with its default port in the path" end
  if not host.reads then return all, name end
  local source = canonical_registry(first)
  local told = told_by_path(host, target, source, first)
  if told == nil then return all, name end
  return told or all, source, nil, first
end

local function spoken_at(host, name, source)
  if source == name and host.names[""] then return host.names[""] end
  if is_host(source) then return longest(host.names, source) or host.other end
  -- A namespace that is no host's is itself alone: no pattern matches it, nor is it one.
  return source:sub(1, 1) ~= "*" and host.names[source] or host.other
end

-- The plans ----------------------------------------------------------------------------------------------------------

local SCHEME, HOST, PORT, STRIP, PUT, REFERENCE, EDIT, NAMESPACE, KEEPS, INSECURE = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

local function query_of(each, target, source)
  if each[EDIT] == "drop" then return without_namespace(target.query) end
  if each[EDIT] == "first" then return with_first_namespace_only(target.query) end
  if each[EDIT] == "set" then return with_namespace(target.query, each[NAMESPACE] or source) end
  return target.query
end

local function add_plans(plans, each, asked, target, source, spoken)
  local scheme, host, port = asked.scheme, asked.host, asked.port
  local authority = asked.authority
  if each[SCHEME] then
    scheme, host, port = each[SCHEME], each[HOST], each[PORT]
    if not host then
      local own
      host, own = split_host(source == "docker.io" and "registry-1.docker.io" or source)
      port = own or port
    end
    if not host then return "its source registry is no host" end
    authority = authority_of(scheme, host, port)
  end
  local rerouted = false
  if each[SCHEME] then
    -- Another scheme, and so another port, of the same host is the same registry.
    rerouted = registry_name(scheme, host, port) ~= asked.name and host:lower() ~= asked.host:lower()
  end
  local path, client = target.path, ""
  if target.scope ~= "" and (each[STRIP] > 0 or each[PUT] ~= "" or each[REFERENCE] ~= "") then
    local strip = length_of(target.scope, each[STRIP])
    path = moved(target, strip, each[PUT], each[REFERENCE])
    if not path then return "no repository would be left of it" end
    client = target.raw:sub(1, raw_length(target.raw, strip))
    if target.operation == "upload" and client ~= each[PUT] then
      for _, parameter in ipairs(parameters(target.query or "")) do
        if is_named(parameter, "from") then return "a mount of a repository that is called otherwise there" end
      end
    end
  end
  local there = joined(path, query_of(each, target, source))
  local changed = rerouted or there ~= asked.target or scheme ~= asked.scheme
  local namespaced = changed and (each[EDIT] == "set" or (each[EDIT] == "first" and spoken ~= ""))
  local unverified = each[INSECURE] and scheme == "https"
  local plan = {
    to = unverified and "https-insecure" or scheme, authority = authority, keeps = each[KEEPS], twin = false,
    client = client, endpoint = client ~= each[PUT] and each[PUT] or client, namespaced = namespaced,
    spoken = form_encoded(spoken), rerouted = rerouted, changed = changed, scheme = scheme, host = host,
    port = string.format("%d", port), target = there,
  }
  plans[#plans + 1] = plan
  if unverified and rerouted then
    local twin = {}
    for key, value in pairs(plan) do twin[key] = value end
    local http = port == 443 and 80 or port
    twin.to, twin.scheme, twin.port, twin.twin = "http", "http", string.format("%d", http), true
    twin.authority = authority_of("http", host, http)
    plans[#plans + 1] = twin
  end
end

local function message_of(text, parts)
  local all = {}
  for i, each in ipairs(text) do all[i] = type(each) == "number" and parts[each] or each end
  return table.concat(all)
end

-- The host that a request addresses, as the table has it; nil where it has none.
local function addressed(named)
  local host, port = split_host(named or "")
  if host then
    local name = registry_name(TABLE_SCHEME, host, port)
    local other = TABLE_SCHEME == "https" and 80 or 443
    local found_host = (is_host(name) or hosts[name]) and longest(hosts, name)
    if port == other and (found_host or longest(hosts, registry_name(TABLE_SCHEME, host, nil))) then
      return nil, "its Host has the default port of the other scheme"
    end
    if found_host then
      return {scheme = TABLE_SCHEME, host = host, port = port or PORTS[TABLE_SCHEME], name = name, of = found_host,
              authority = named}
    end
  end
  if not DESTINATION then return nil end
  local scheme, own, own_port = DESTINATION[1], DESTINATION[2], DESTINATION[3]
  local name = registry_name(scheme, own, own_port)
  return {scheme = scheme, host = own, port = own_port, name = name, of = longest(hosts, name),
          authority = authority_of(scheme, own, own_port)}
end

local UNKNOWN = {manifest = "MANIFEST_UNKNOWN", blob = "BLOB_UNKNOWN"}
local number = 0

local function try_in_turn(handle, plans, several, target, subject)
  local headers = handle:headers()
  number = number + 1
  for i, plan in ipairs(plans) do headers:replace("x-ns-inject-plan-" .. i, written(plan)) end
  headers:replace("x-ns-inject-count", tostring(#plans))
  headers:replace("x-ns-inject-number", string.format("%d", number))
  headers:replace("x-ns-inject-several", tostring(several))
  headers:replace("x-ns-inject-subject", form_encoded(subject))
  headers:replace("x-ns-inject-code", UNKNOWN[target.operation] or "NAME_UNKNOWN")
  local answers = target.operation == "referrers" or target.operation == "catalog"
  headers:replace("x-ns-inject-absence", tostring(answers))
  headers:replace("x-envoy-max-retries", tostring(#plans))
  headers:replace("x-ns-inject-to", "in-turn")
  handle:clearRouteCache()
end

local function cannot(handle, why)
  refuse(handle, 400, "UNSUPPORTED", "the request is not sent on: " .. why)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local method, text, named = headers:get(":method"), headers:get(":path"), headers:get(":authority")
  clear(headers)
  if not text or text:sub(1, 1) ~= "/" then return cannot(handle, "its target is no path") end
  if text:find("[%z\1-\32\127]") then return cannot(handle, "there is a control character in its target") end
  if is_misleading(text:match("^[^?]*")) then
    return refuse(handle, 404, "NAME_INVALID", "the request is not sent on: its path is another than it seems to be")
  end
  local asked, why = addressed(named)
  if why then return cannot(handle, why) end
  if not asked then
    return refuse(handle, 421, "UNSUPPORTED", (named or "") .. " is no host that is configured here")
  end
  asked.target = text
  local target = parse(text)
  local to = asked.scheme
  if to == "https" and insecure[asked.host:lower() .. ":" .. string.format("%d", asked.port)] then
    to = "https-insecure"
  end
  local unchanged = {
    to = to, authority = asked.authority, keeps = true, twin = false, client = "", endpoint = "", namespaced = false,
    spoken = "", rerouted = false, changed = false, scheme = asked.scheme, host = asked.host,
    port = string.format("%d", asked.port), target = text,
  }
  unchanged.keeps = "true"
  if not target or not asked.of then return carry_out(handle, unchanged, "other") end
  local spoken = ""
  if READS_NAMESPACES then
    for _, each in ipairs(namespaces_in(target.query)) do
      if each ~= "" then spoken = each break end
    end
  end
  if spoken:find("[\128-\255]") then return cannot(handle, "its ns has characters that no registry's name has") end
  local all, source, first
  if spoken ~= "" then
    source = canonical_registry(spoken)
    all = found(scopes[spoken_at(asked.of, asked.name, source)], target)
  else
    all, source, why, first = plain(asked.of, asked.name, target)
    if why then return cannot(handle, why) end
  end
  local kind = kind_of(method, target)
  local chosen = way[ways[all][kind]]
  if not chosen then return cannot(handle, "nothing tells where it goes") end
  local repository = first and target.scope:sub(#first + 2) or target.scope
  local subject = repository ~= "" and source .. "/" .. repository .. target.suffix or source
  if chosen.status then
    local message = message_of(chosen.message, {source, asked.name, "ns=" .. spoken, target.path, subject})
    local greeted = chosen.greeted and target.operation == "ping"
    return refuse(handle, greeted and 200 or chosen.status, chosen.code, message, chosen.detail)
  end
  local plans = {}
  for _, each in ipairs(chosen) do
    why = add_plans(plans, step[each], asked, target, source, spoken)
    if why then return cannot(handle, why) end
  end
  if #plans > 1 then return try_in_turn(handle, plans, #chosen > 1, target, subject) end
  local plan = plans[1]
  plan.keeps = tostring(plan.keeps)
  note(handle, plan, text)
  carry_out(handle, plan, kind == "rest" and "rest" or "pull")
end

function envoy_on_response(handle)
  local noted = handle:streamInfo():dynamicMetadata():get(NOTE)
  if noted then for_the_client(handle:headers(), read(noted.plan), noted.origin, noted.base) end
end
"""

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
  for_the_client(headers, plan, noted.origin, noted.base)
end
"""
