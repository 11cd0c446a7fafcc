"""Lua code for Envoy that reads and edits a request's target: `distribution` and `unfit` in Lua."""

from __future__ import annotations

TARGETS = r"""
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

-- The target with every repository in its scope parameters as `renamed` has it: `token_scope` in Lua.
local function with_scopes_renamed(text, renamed)
  local path, query = text:match("^([^?]*)%?(.*)$")
  if not query or not query:find("scope=", 1, true) then return text end
  local all = parameters(query)
  for i, each in ipairs(all) do
    local before = each:match("^scope=(.*)$")
    before = before and form_decoded(before) or ""
    local after = before:gsub("[^ ]+", function(scope)
      local repository, actions = scope:match("^repository:(.+):([^:]*)$")
      return repository and "repository:" .. renamed(repository) .. ":" .. actions
    end)
    if after ~= before then all[i] = "scope=" .. form_encoded(after) end
  end
  return path .. "?" .. table.concat(all, "&")
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
"""
