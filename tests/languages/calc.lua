local M = {}
local limit = 3
function M.add(a, b) return a + b end
function M:value() return M.add(self.total, limit) end
local function twice(a) return M.add(a, a) end
M.half = function(a) return a / 2 end
return M
