-- Requests for the manifests of many images, in turn. Arguments: what is before a repository, what is after it, how many.
local requests, turn = {}, 0

init = function(arguments)
  for number = 1, tonumber(arguments[3]) do
    requests[number] = wrk.format("GET", arguments[1] .. "lab/image-" .. number .. arguments[2])
  end
end

request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
