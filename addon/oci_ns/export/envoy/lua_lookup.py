"""Lua code for Envoy that looks a request up in the table, and plans what becomes of it.

The table is in `table`; how it is read is said in `tabulation`. Before it stand `TABLE_SCHEME`,
`READS_NAMESPACES`, `DESTINATION` and `PRESENCE`.
"""

from __future__ import annotations

LOOKUP = r"""
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

-- What the addressed host calls a repository of the client's, where it keeps its requests.
local function moved_repository(asked, repository)
  local target = parse("/v2/" .. repository .. "/manifests/latest")
  if not target or target.operation ~= "manifest" then return repository end
  local all = plain(asked.of, asked.name, target)
  local each = all and step[(way[ways[all].rest] or {})[1]]
  if not each or (each[STRIP] == 0 and each[PUT] == "") then return repository end
  local there = moved(target, length_of(target.scope, each[STRIP]), each[PUT], "")
  return there and parse(there).scope or repository
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
  if not text or text:sub(1, 1) ~= "/" then return cannot(handle, "its target is no path") end
  if text:find("[%z\1-\32\127]") then return cannot(handle, "there is a control character in its target") end
  if named and named:find(",", 1, true) then return cannot(handle, "it has more than one Host") end
  if is_misleading(text:match("^[^?]*")) then
    return refuse(handle, 404, "NAME_INVALID", "the request is not sent on: its path is another than it seems to be")
  end
  if method == "GET" and text == PRESENCE.path then
    return handle:respond({[":status"] = "200", ["content-type"] = "application/json"}, PRESENCE.answer)
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
  if LISTENING and not target and asked.of then
    -- A token service at the endpoint's own name is asked through the listener, too.
    unchanged.target = with_scopes_renamed(text, function(each) return moved_repository(asked, each) end)
  end
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
  local headers = handle:headers()
  if not is_of_interest(headers) then return end
  local noted = handle:streamInfo():dynamicMetadata():get(NOTE)
  if noted then for_the_client(headers, read(noted.plan)) end
end
"""
